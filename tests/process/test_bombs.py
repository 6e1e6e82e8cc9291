"""Headers and brackets without end, and clients that take for ever: refused, at no cost, while others are served."""

from __future__ import annotations

import socket
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from tests.darkroom import outcome_of
from tests.fuzz.wire import Connection
from tests.process.conftest import Launch, Running
from tests.process.measure import allowance as measured_allowance
from tests.process.measure import forget_peak, peak_memory
from tests.sizing import sized

HEAD = (
    b"POST / HTTP/1.1\r\nHost: darkroom\r\n"
    b"ce-specversion: 1.0\r\nce-source: /bombs\r\nce-type: dev.darkroom.image.requested\r\n"
)
PROMPT = {"prompt": "a red star"}
ROUNDS = sized(3, 20)
MOST = 16e6  # bytes
# What Python needs to read a body of 1 MiB that is only numbers, and read it must: no limit forbids it.
MOST_FOR_NUMBERS = 64e6


@pytest.fixture(scope="module")
def allowance() -> float:
    """Measured once: the bombs are many."""
    return measured_allowance()


@pytest.fixture(scope="module")
def drawing(launch: Launch) -> Running:
    running = launch("-m", "tests.drawing")
    running.process.wait_ready()
    return running


def one_header(size: int) -> bytes:
    return HEAD + b"ce-id: 1\r\nX-Long: " + b"x" * size + b"\r\nContent-Length: 2\r\n\r\n{}"


def many_headers(count: int, name: bytes) -> bytes:
    lines = b"".join(b"%s%d: x\r\n" % (name, number) for number in range(count))
    return HEAD + b"ce-id: 1\r\n" + lines + b"Content-Length: 2\r\n\r\n{}"


def bodied(body: bytes) -> bytes:
    return HEAD + b"ce-id: 1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body


BOMBS: dict[str, tuple[Callable[[], bytes], set[int]]] = {
    "a header of 1 MiB": (lambda: one_header(1 << 20), {431}),
    "10,000 headers": (lambda: many_headers(10_000, b"x-"), {200}),
    "10,000 extensions": (lambda: many_headers(10_000, b"ce-x"), {200}),
    "100,000 headers": (lambda: many_headers(100_000, b"x-"), {431}),
    "100,000 brackets": (lambda: bodied(b"[" * 100_000 + b"]" * 100_000), {400}),
    "100,000 objects": (lambda: bodied(b'{"a":' * 100_000 + b"1" + b"}" * 100_000), {400}),
    "500,000 brackets that do not close": (lambda: bodied(b"[" * 500_000), {400}),
    "half a million numbers": (lambda: bodied(b"[" + b"1," * 500_000 + b"1]"), {200}),
    "a number of 1 MB": (lambda: bodied(b"9" * 1_000_000), {400}),
    "a text of escapes": (lambda: bodied(b'"' + b"\\u0001" * 170_000 + b'"'), {200}),
}


@contextmanager
def served_meanwhile(running: Running) -> Iterator[list[float]]:
    """Another sender's renders, one after the other for the length of a `with`; the seconds that each took."""
    seconds: list[float] = []
    over = False

    def send() -> None:
        while not over or not seconds:
            began = time.monotonic()
            outcome_of(running.process.event(PROMPT, id=str(uuid.uuid4())))
            seconds.append(time.monotonic() - began)

    with ThreadPoolExecutor(1) as other:
        sending = other.submit(send)
        try:
            yield seconds
        finally:
            over = True
            sending.result(120)


@pytest.mark.chaos
@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb(drawing: Running, allowance: float, bomb: str) -> None:
    make, expected = BOMBS[bomb]
    raw, process = make(), drawing.process
    statuses: set[int | None] = set()
    forget_peak(process.pid)
    before = peak_memory(process.pid)
    with served_meanwhile(drawing) as seconds:
        for _ in range(ROUNDS):
            connection = Connection(process.port)
            connection.send(raw)
            answer = connection.receive()
            # Whoever has not sent all may lose the answer to it: the server hangs up on him.
            if answer or expected != {431}:
                statuses.add(answer.status if answer else None)
            connection.close()
    grown = peak_memory(process.pid) - before
    print(f"{ROUNDS} times {bomb}: {statuses}, {grown / 1e6:.1f} MB more, others in {max(seconds) * 1000:.0f} ms")
    assert statuses == expected
    assert grown < (MOST_FOR_NUMBERS if "number" in bomb else MOST)
    assert max(seconds) < 1 * allowance


def test_answers_that_nobody_takes(drawing: Running, allowance: float) -> None:
    """Twenty clients ask for the longest page again and again, with the smallest of buffers, and read nothing."""
    process = drawing.process
    ask = b"GET /metrics HTTP/1.1\r\nHost: d\r\n\r\n" * 2000
    forget_peak(process.pid)
    before = peak_memory(process.pid)
    with ExitStack() as stack, served_meanwhile(drawing) as seconds:
        for _ in range(20):
            slow = stack.enter_context(socket.socket())
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.connect(("127.0.0.1", process.port))
            slow.settimeout(0.05)
            # It reads no more from whoever takes no answers.
            with suppress(TimeoutError):
                slow.sendall(ask)
        time.sleep(1)
        probes = {which: process.probe(which) for which in ("readiness", "liveness")}
        files = [file.readlink().name for file in Path(f"/proc/{process.pid}/fd").iterdir()]
    grown = peak_memory(process.pid) - before
    print(f"20 clients that read nothing: {grown / 1e6:.1f} MB more, others in {max(seconds) * 1000:.0f} ms")
    assert set(probes.values()) == {200}
    assert not [file for file in files if file.endswith("(deleted)")]
    assert grown < MOST
    assert max(seconds) < 1 * allowance


def test_slow_bodies_and_slow_heads(drawing: Running, allowance: float) -> None:
    """A hundred of each, a byte every second, hold up nobody; after half a minute of silence they are hung up on."""
    process = drawing.process
    with ExitStack() as stack, served_meanwhile(drawing) as seconds:
        slow = [stack.enter_context(socket.create_connection(("127.0.0.1", process.port))) for _ in range(200)]
        for number, connection in enumerate(slow):
            connection.sendall(HEAD if number % 2 else HEAD + b"Content-Length: 1000000\r\n\r\n")
        for _ in range(3):
            time.sleep(1)
            for connection in slow:
                connection.sendall(b"x")
    print(f"{len(slow)} slow senders: {len(seconds)} others in at most {max(seconds) * 1000:.0f} ms")
    assert max(seconds) < 1 * allowance
