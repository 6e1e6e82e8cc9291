"""No answer is cut by the end of the process: whoever was let in is answered whole, everybody else is refused."""

from __future__ import annotations

import http.client
import json
import os
import random
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

from function.demo.process import free_ports
from function.doors.server import GPU_LOST
from tests.darkroom import READY_WITHIN, REPOSITORY, eventually

ROUNDS = 20
BIG = 2_000_000  # bytes, more than a socket takes at once


class Servers:
    """The children of `small.py`, one on each port, each begun when the one before it has ended."""

    def __init__(self, program: subprocess.Popen[bytes], ports: list[int]) -> None:
        self.ports = ports
        self._program = program

    def begun(self, port: int) -> int:
        """The process id of the next one, which is ready."""
        pid = self._said("pid")
        eventually(lambda: status_of(port, "GET", "/health/readiness") == 200, "a small server that is ready")
        return pid

    def ended(self) -> int:
        """The exit code of the last one."""
        return self._said("code")

    def _said(self, what: str) -> int:
        assert self._program.stdout is not None
        assert select.select([self._program.stdout], [], [], READY_WITHIN)[0], f"no {what} of a small server in time"
        said: dict[str, int] = json.loads(self._program.stdout.readline())
        return said[what]


@contextmanager
def servers(count: int) -> Iterator[Servers]:
    ports = free_ports(count)
    command = [sys.executable, "-m", "tests.process.small", *map(str, ports)]
    with subprocess.Popen(
        command, cwd=REPOSITORY, stdout=subprocess.PIPE, bufsize=0, start_new_session=True
    ) as program:
        try:
            yield Servers(program, ports)
        finally:
            os.killpg(program.pid, signal.SIGKILL)


def status_of(port: int, method: str, path: str) -> int | str:
    """The status of one answer that came whole, "refused" or "reset" where the server is gone, else "cut" and why."""
    return next(statuses(port, method, path, keep=False))


def statuses(port: int, method: str, path: str, *, keep: bool) -> Iterator[int | str]:
    """As `status_of`, again and again, on one connection if it is to be kept and the server keeps it."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    while True:
        fresh = connection.sock is None
        try:
            if fresh:
                connection.connect()
        except ConnectionRefusedError:
            yield "refused"
            return
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            answer.read()
        except ConnectionResetError as error:
            connection.close()
            # Between the last look at the listening socket and its end the kernel may still shake hands.
            yield "reset" if fresh else f"cut: {error!r}"
            return
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            yield f"cut: {error!r}"
            return
        if not keep:
            connection.close()
        yield answer.status


def test_at_sigterm() -> None:
    """Four requests that take their time, three senders on kept connections and one on ever new ones, 20 times."""
    seen: Counter[int | str] = Counter()
    with servers(ROUNDS) as small, ThreadPoolExecutor(8) as senders:
        for port in small.ports:
            pid = small.begun(port)
            begun = threading.Barrier(9)

            def one(port: int = port, begun: threading.Barrier = begun) -> list[int | str]:
                begun.wait(30)
                return [status_of(port, "POST", f"/?seconds=0.3&bytes={BIG}")]

            def many(keep: bool, port: int = port, begun: threading.Barrier = begun) -> list[int | str]:  # noqa: FBT001
                begun.wait(30)
                return list(statuses(port, "POST", "/?seconds=0&bytes=100", keep=keep))

            sent = [senders.submit(one) for _ in range(4)]
            sent += [senders.submit(many, keep) for keep in (True, True, True, False)]
            begun.wait(30)
            time.sleep(random.uniform(0, 0.2))
            os.kill(pid, signal.SIGTERM)
            assert "reset" not in [answers.result(timeout=60)[0] for answers in sent[:4]], "work was cut"
            round_ = [status for answers in sent for status in answers.result(timeout=60)]
            assert small.ended() == 0
            assert {200, 503, "refused", "reset"} >= set(round_), round_
            seen.update(round_)
    print(f"{ROUNDS} times SIGTERM: {dict(seen)}")
    assert min(seen[200], seen[503]) > 0
    assert seen["reset"] <= ROUNDS / 4


def test_a_request_that_has_only_begun() -> None:
    """It may arrive within five seconds, and is refused then; one that never does holds up nothing."""
    with servers(1) as small, ExitStack() as stack:
        (port,) = small.ports
        pid = small.begun(port)
        late, never = (stack.enter_context(socket.create_connection(("127.0.0.1", port), 30)) for _ in range(2))
        for connection in (late, never):
            connection.sendall(b"POST /?seconds=0&bytes=1 HTTP/1.1\r\nHost: small\r\n")
        status_of(port, "GET", "/health/readiness")  # so that both were read
        began = time.monotonic()
        os.kill(pid, signal.SIGTERM)
        eventually(lambda: status_of(port, "GET", "/health/readiness") == "refused", "the server no longer listens")
        time.sleep(1)  # it is slow: without it, the process would be gone by now
        late.sendall(b"\r\n")
        assert late.recv(65536).startswith(b"HTTP/1.1 503 ")
        assert small.ended() == 0
    print(f"exit {time.monotonic() - began:.1f} s after SIGTERM")


def test_at_the_loss_of_the_gpu() -> None:
    """The request that met it is answered too."""
    with servers(1) as small:
        (port,) = small.ports
        small.begun(port)
        assert status_of(port, "POST", f"/?seconds=0&lose=1&bytes={BIG}") == 200
        assert small.ended() == GPU_LOST
