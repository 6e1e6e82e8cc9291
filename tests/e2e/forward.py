"""Ways into the cluster that need nothing of it but its API server: `kubectl port-forward`."""

from __future__ import annotations

import os
import shutil
import socket
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from function.demo.process import Child, free_ports
from tests.e2e.cluster import Cluster

READY_WITHIN = 60.0


class Forward:
    """A port of 127.0.0.1 that leads to a pod of a Service, and to another when that one has gone."""

    def __init__(self, cluster: Cluster, service: str, port: int, folder: Path) -> None:
        self._cluster = cluster
        self._service = service
        self._there = port
        self._folder = folder
        (self._here,) = free_ports(1)
        self._child: Child | None = None
        self._mending = threading.Lock()

    def __enter__(self) -> Self:
        # Here and now, since a child dies with the thread that started it.
        self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop()

    @property
    def url(self) -> str:
        """Where the Service answers, always the same."""
        with self._mending:
            if not self._is_open():
                self._stop()
                self._start()
        return f"http://127.0.0.1:{self._here}"

    def _start(self) -> None:
        kubectl = shutil.which("kubectl")
        assert kubectl, "kubectl is not on the PATH"
        service = f"service/{self._service}"
        self._child = Child(
            f"kubectl port-forward {service}",
            [kubectl, "-n", self._cluster.namespace, "port-forward", service, f"{self._here}:{self._there}"],
            folder=self._folder,
            log=self._folder / f"forward-{self._service}.log",
            environment=os.environ,
        )
        self._child.wait_until_ready(self._connect, seconds=READY_WITHIN, retry_on=(OSError,))

    def _stop(self) -> None:
        if self._child:
            self._child.stop()
            self._child = None

    def _is_open(self) -> bool:
        try:
            self._connect()
        except OSError:
            return False
        return True

    def _connect(self) -> None:
        socket.create_connection(("127.0.0.1", self._here), timeout=5).close()
