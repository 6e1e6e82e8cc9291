"""Runs in a pod of its own: keeps every event that is POSTed to it, and lists them to whoever asks."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

heard: list[dict[str, object]] = []
keeping = threading.Lock()


class Listener(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        """Keep the event, with when it came."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode("utf-8", "surrogateescape")
        headers = {name.lower(): value for name, value in self.headers.items()}
        with keeping:
            heard.append({"at": time.time(), "headers": headers, "body": body})
        self._answer(202)

    def do_GET(self) -> None:
        """All events from the one with the number in the path on."""
        number = int(self.path.strip("/") or 0)
        self._answer(200, json.dumps(heard[number:]).encode())

    def do_HEAD(self) -> None:
        """It is here."""
        self._answer(204)

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nothing: the events are what is worth reading."""


if __name__ == "__main__":
    ThreadingHTTPServer(("", 8080), Listener).serve_forever()
