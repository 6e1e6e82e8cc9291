"""Ways into the cluster that need nothing of it but its API server: `kubectl port-forward`."""

from __future__ import annotations

import os
import shutil
import threading
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import TracebackType
from typing import Self

from function.demo.process import Child, ChildFailed, free_ports
from tests.e2e.cluster import Cluster, until

READY_WITHIN = 60.0
ANSWER_WITHIN = 10.0


class Forward:
    """A port of 127.0.0.1 that leads to a pod of an HTTP Service, and to another when that one has gone."""

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
                self._start()
        return f"http://127.0.0.1:{self._here}"

    def _start(self) -> None:
        # kubectl gives up on a pod that does not listen yet.
        until(self._started, f"kubectl port-forward to {self._service} answers", READY_WITHIN)

    def _started(self) -> bool:
        self._stop()
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
        try:
            self._child.wait_until_ready(self._ask, seconds=READY_WITHIN, retry_on=(OSError, HTTPException))
        except ChildFailed as error:
            print(error)
            return False
        return True

    def _stop(self) -> None:
        if self._child:
            self._child.stop()
            self._child = None

    def _is_open(self) -> bool:
        try:
            self._ask()
        except (OSError, HTTPException):
            return False
        return True

    def _ask(self) -> None:
        """Any answer will do; kubectl takes connections for a pod that has gone, too."""
        connection = HTTPConnection("127.0.0.1", self._here, timeout=ANSWER_WITHIN)
        try:
            connection.request("HEAD", "/")
            connection.getresponse()
        finally:
            connection.close()
