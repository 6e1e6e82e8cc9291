"""A real HTTP server that keeps what is POSTed to it: a webhook's door, or a sink."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Delivery:
    """One POST as it arrived, header names in lower case."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def authorization(self) -> str | None:
        return self.headers.get("authorization")


@dataclass(frozen=True)
class Answer:
    """What to answer a POST with, header names as they are to be sent."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class _Server(ThreadingHTTPServer):
    request_queue_size = 128  # a sender that finds the queue full tries again after a second


@contextmanager
def answering(port: int, answer: Callable[[Delivery], int | Answer | None]) -> Iterator[None]:
    """An HTTP server that answers every POST with what `answer` gives it, or its status; with None it hangs up."""

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            given = answer(Delivery(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            if given is None:
                return
            whole = Answer(given) if isinstance(given, int) else given
            self.send_response(whole.status)
            for name, value in {**whole.headers, "Content-Length": str(len(whole.body))}.items():
                self.send_header(name, value)
            # Whoever asked may have gone meanwhile.
            with suppress(BrokenPipeError, ConnectionResetError):
                self.end_headers()
                self.wfile.write(whole.body)

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            pass

    with _Server(("127.0.0.1", port), Door) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def receiver(port: int, status: Callable[[], int] = lambda: 204) -> Iterator[queue.Queue[Delivery]]:
    """An HTTP server that answers every POST with `status()` and keeps it."""
    deliveries: queue.Queue[Delivery] = queue.Queue()

    def keep(delivery: Delivery) -> int:
        deliveries.put(delivery)
        return status()

    with answering(port, keep):
        yield deliveries
