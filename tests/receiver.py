"""A real HTTP server that keeps what is POSTed to it: a webhook's door, or a sink."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
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


class _Server(ThreadingHTTPServer):
    request_queue_size = 128  # a sender that finds the queue full tries again after a second


@contextmanager
def answering(port: int, answer: Callable[[Delivery], int | None]) -> Iterator[None]:
    """An HTTP server that answers every POST with the status that `answer` gives it; with None it hangs up."""

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            status = answer(Delivery(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            if status is not None:
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

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
