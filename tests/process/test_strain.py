"""Slow senders, waiting requests and bodies without end: the probes are answered, and memory stays."""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from function.doors.app import ADMITTED, MAX_BODY
from tests.darkroom import eventually
from tests.process.conftest import Running
from tests.process.measure import forget_peak, peak_memory, send_until_answered

PROMPT = {"prompt": "a blue circle on a white background", "num_inference_steps": 1}
BLOCK = b"x" * 65536
CHUNK = b"10000\r\n" + BLOCK + b"\r\n"
POST = b"POST / HTTP/1.1\r\nHost: darkroom\r\n"


@contextmanager
def asleep(pid: int) -> Iterator[None]:
    """A process group that does nothing for the length of a `with`."""
    os.killpg(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(pid, signal.SIGCONT)


@contextmanager
def slow_sender(port: int, head: bytes) -> Iterator[None]:
    """A client that sends `head` and then, for the length of a `with`, one byte every 50 ms."""
    over = threading.Event()
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(head)

        def trickle() -> None:
            while not over.wait(0.05):
                connection.sendall(b"x")

        sending = threading.Thread(target=trickle)
        sending.start()
        try:
            yield
        finally:
            over.set()
            sending.join()


def test_slow_senders_and_waiting_requests_leave_the_probes_answering(render: Running, allowance: float) -> None:
    process, server = render.process, render.server
    assert server.pid is not None
    many = ADMITTED + 4
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(slow_sender(process.port, POST + b"X-Slow: "))
            stack.enter_context(slow_sender(process.port, POST + b"Content-Length: 1000000\r\n\r\n"))
        senders = stack.enter_context(ThreadPoolExecutor(many))
        with asleep(server.pid):
            answers = [senders.submit(process.event, PROMPT, id=str(uuid.uuid4())) for _ in range(many)]
            turned_away = eventually(lambda: [answer for answer in answers if answer.done()][3:], "four answers of 429")
            seconds = []
            for which in ("startup", "readiness", "liveness") * 10:
                began = time.monotonic()
                assert process.probe(which) == 200
                seconds.append(time.monotonic() - began)
            assert sum(answer.done() for answer in answers) == 4, "requests no longer wait for the store"
        statuses = sorted(answer.result(timeout=120).status for answer in answers)
    print(f"{ADMITTED} waiting requests, 6 slow senders: the slowest of 30 probes took {max(seconds) * 1000:.0f} ms")
    assert max(seconds) < 0.25 * allowance
    assert {answer.result().status for answer in turned_away} == {429}
    assert set(statuses) == {200, 429}


@pytest.mark.parametrize(
    ("head", "block"),
    [
        (b"Content-Length: %d\r\n\r\n" % (200 << 20), BLOCK),
        (b"Content-Length: %d\r\nExpect: 100-continue\r\n\r\n" % (MAX_BODY + 1), BLOCK),
        (b"Transfer-Encoding: chunked\r\n\r\n", CHUNK),
    ],
    ids=["declared", "expecting to continue", "chunked"],
)
def test_a_body_over_the_limit_is_not_read_on(render: Running, head: bytes, block: bytes) -> None:
    answer, sent = send_until_answered(render.process.port, POST + head, itertools.repeat(block, 3200), pause=0.05)
    print(f"413 after {sent} bytes")
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert sent <= 2 << 20


def test_a_body_of_the_limit_is_read(render: Running) -> None:
    event = {"specversion": "1.0", "id": "1", "source": "/tests", "type": "boson.fn", "data": ""}
    event["data"] = "x" * (MAX_BODY - len(json.dumps(event)))
    headers = {"content-type": "application/cloudevents+json"}
    assert render.process.post("/", json.dumps(event).encode(), headers).status == 204
    event["data"] += "x"
    assert render.process.post("/", json.dumps(event).encode(), headers).status == 413


def test_bodies_without_end_cost_no_memory(render: Running) -> None:
    process = render.process
    process.wait_ready()
    forget_peak(process.pid)
    before = peak_memory(process.pid)
    heads = [b"Content-Length: %d\r\n\r\n" % (200 << 20), b"Transfer-Encoding: chunked\r\n\r\n"]

    def flood(number: int) -> bytes:
        head, block = heads[number % 2], (BLOCK, CHUNK)[number % 2]
        return send_until_answered(process.port, POST + head, itertools.repeat(block, 3200), pause=0.01)[0]

    with ThreadPoolExecutor(6) as senders:
        answers = list(senders.map(flood, range(24)))
    grown = peak_memory(process.pid) - before
    print(f"24 bodies of up to 200 MiB, 6 at once: {grown / 1e6:.1f} MB more")
    assert all(answer.startswith(b"HTTP/1.1 413 ") for answer in answers)
    assert grown < 16e6


def test_a_body_is_not_written_to_disk(render: Running) -> None:
    """The container's file system may be read-only."""
    process = render.process
    with socket.create_connection(("127.0.0.1", process.port)) as connection:
        connection.sendall(POST + b"Content-Length: %d\r\n\r\n" % MAX_BODY + bytes(MAX_BODY - 1))
        here = connection.getsockname()[1]
        eventually(lambda: unread(process.port, here) == 0, "the server has read what was sent")
        files = [file.readlink().name for file in Path(f"/proc/{process.pid}/fd").iterdir()]
    assert not [file for file in files if file.endswith("(deleted)")]


def unread(port: int, peer: int) -> int:
    """Bytes that the kernel holds for the server's end of a connection."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if (fields[1][-4:], fields[2][-4:]) == (f"{port:04X}", f"{peer:04X}"):
            return int(fields[4].split(":")[1], 16)
    raise AssertionError("there is no such connection")
