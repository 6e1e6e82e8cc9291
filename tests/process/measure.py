"""Watching a process from outside: how busy the machine is, what it holds in memory, how fast it answers."""

from __future__ import annotations

import http.client
import select
import socket
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Self

BUSY: float = 10.0
QUIET_WITHIN: float = 60.0


def allowance() -> float:
    """By what limits in seconds are multiplied: 1 as soon as the machine is half idle, `BUSY` if it will not be."""
    deadline = time.monotonic() + QUIET_WITHIN
    while time.monotonic() < deadline:
        before = _jiffies()
        time.sleep(0.5)
        idle, total = (after - earlier for after, earlier in zip(_jiffies(), before, strict=True))
        if idle >= total / 2:
            return 1.0
    print(f"\nothers use this machine: limits are {BUSY:g} times as long")
    return BUSY


def _jiffies() -> tuple[int, int]:
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return fields[3] + fields[4], sum(fields)


def peak_memory(pid: int) -> int:
    """Bytes that the process held at most, since it began or since `forget_peak`."""
    return memory(pid, "VmHWM")


def memory(pid: int, which: str) -> int:
    """Bytes that the process holds, by a line of its /proc/PID/status."""
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith(which))
    return int(line.split()[1]) * 1024


def forget_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


class Prober:
    """Asks one probe on one connection for the length of a `with`, 20 ms after each answer, and keeps how that went."""

    def __init__(self, port: int, which: str = "liveness") -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._path = f"/health/{which}"
        self._over = threading.Event()
        self._asking = threading.Thread(target=self._ask)
        self._failed: Exception | None = None
        self.seconds: list[float] = []
        self._answered: list[float] = []

    def __enter__(self) -> Self:
        self._asking.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        self._asking.join()
        self._connection.close()
        if kind is None and self._failed:
            raise self._failed

    @property
    def longest(self) -> float:
        """The longest that an answer took, in seconds."""
        return max(self.seconds)

    @property
    def gap(self) -> float:
        """The longest from one answer to the next, in seconds."""
        return max(later - earlier for earlier, later in pairwise(self._answered))

    def _ask(self) -> None:
        try:
            while not self._over.wait(0.02):
                began = time.monotonic()
                self._connection.request("GET", self._path)
                answer = self._connection.getresponse()
                answer.read()
                assert answer.status == 200, f"{self._path} answered {answer.status}"
                self._answered.append(time.monotonic())
                self.seconds.append(self._answered[-1] - began)
        except Exception as error:  # noqa: BLE001  # raised again where the `with` ends
            self._failed = error


def send_until_answered(port: int, head: bytes, blocks: Iterable[bytes], pause: float) -> tuple[bytes, int]:
    """Send `head` and `blocks` with pauses until an answer begins; that answer's head, and the bytes of blocks sent."""
    answer, sent = b"", 0
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(head)
        for block in blocks:
            if select.select([connection], [], [], pause)[0]:
                answer = (answer + connection.recv(65536)).removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
                if b"\r\n\r\n" in answer:
                    break
            # A server that reads no more may have closed the connection, with its answer still to be read.
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(block)
                sent += len(block)
    return answer, sent
