"""Child processes that leave nothing behind, and free ports for them."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

# Below the ephemeral ranges, so that no outgoing connection takes a port between the look and the server's bind.
_PORTS = range(10_000, 20_000)

# The child ties itself to its parent before it becomes the command: preexec_fn is unsafe in a process with threads.
_TIED_TO_PARENT = """
import ctypes, os, signal, sys
PR_SET_PDEATHSIG = 1
ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the parent is gone already")
os.execv(sys.argv[2], sys.argv[2:])
"""


def plain_environment() -> dict[str, str]:
    """The environment of the present process, without what could change what Darkroom does, or whom it asks."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "DARKROOM_", "HF_", "K_", "KUBE")) and not name.lower().endswith("_proxy")
    }


class ChildFailed(RuntimeError):
    """A child process ended or was not ready in time; the message has the end of its log."""


def free_ports(count: int, *, twin: int = 0) -> list[int]:
    """Finds `count` ports of 127.0.0.1 that are free, and of each the port `twin` above it too."""
    found: list[int] = []
    for port in random.sample(_PORTS, len(_PORTS)):
        if len(found) == count:
            return found
        if _is_free(port) and _is_free(port + twin):
            found.append(port)
    raise OSError(f"127.0.0.1 has no {count} free ports between {_PORTS.start} and {_PORTS.stop}")


class Child:
    """A command in a process group of its own that logs to a file and, on Linux, dies with the thread that started it.

    `command[0]` is the path of the program; `environment` is all of its environment.
    """

    def __init__(
        self, name: str, command: Sequence[str | Path], *, folder: Path, log: Path, environment: Mapping[str, str]
    ) -> None:
        self.name = name
        self.log = log
        arguments = [str(part) for part in command]
        if sys.platform == "linux":
            arguments = [sys.executable, "-I", "-S", "-c", _TIED_TO_PARENT, str(os.getpid()), *arguments]
        with log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603  # our own command, and no shell
                arguments,
                cwd=folder,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process id, which is also that of its group."""
        return self._process.pid

    def wait_until_ready(
        self, attempt: Callable[[], object], *, seconds: float, retry_on: tuple[type[Exception], ...]
    ) -> None:
        """Repeats `attempt` until it raises none of `retry_on`; ChildFailed when the child ends or time is up."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                attempt()
            except retry_on as error:
                reason = error
            else:
                return
            try:
                status = self._process.wait(0.1)
            except subprocess.TimeoutExpired:
                if time.monotonic() > deadline:
                    raise self._failure(f"was not ready after {seconds:.0f} s ({reason})") from reason
            else:
                raise self._failure(f"ended with status {status} before it was ready") from reason

    def stop(self, grace: float = 10) -> int:
        """Ends the process: SIGTERM, `grace` seconds, SIGKILL; returns its exit status."""
        try:
            self._signal(signal.SIGTERM)
            self._process.wait(grace)
        except subprocess.TimeoutExpired:
            pass
        finally:
            self._signal(signal.SIGKILL)
            status = self._process.wait()
        return status

    def _signal(self, number: signal.Signals) -> None:
        if self._process.poll() is None:
            os.killpg(self.pid, number)

    def _failure(self, what: str) -> ChildFailed:
        tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])
        return ChildFailed(f"{self.name} {what}. The end of its log, {self.log}:\n{tail}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
