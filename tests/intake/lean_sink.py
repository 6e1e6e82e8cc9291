"""A sink that costs so little that it holds up nobody who publishes thousands of events to it."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

LENGTH: Final = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)
ANSWER: Final = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"


@dataclass
class LeanSink:
    """The bodies of all POSTs in the order in which they came, and how many senders are still connected."""

    bodies: list[bytes] = field(default_factory=list)
    connected: int = 0


class _Connection(asyncio.Protocol):
    """One of few connections, each of which carries many requests."""

    def __init__(self, sink: LeanSink) -> None:
        self._sink = sink
        self._unread = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._sink.connected += 1

    def connection_lost(self, _error: Exception | None) -> None:
        self._sink.connected -= 1

    def data_received(self, data: bytes) -> None:
        self._unread += data
        while (end := self._unread.find(b"\r\n\r\n") + 4) > 3:
            length = LENGTH.search(self._unread, 0, end)
            assert length is not None
            whole = end + int(length[1])
            if len(self._unread) < whole:
                return
            self._sink.bodies.append(self._unread[end:whole])
            self._unread = self._unread[whole:]
            self._transport.write(ANSWER)


@contextmanager
def lean_sink(port: int) -> Iterator[LeanSink]:
    """An HTTP server that takes every POST."""
    sink = LeanSink()
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(loop.create_server(lambda: _Connection(sink), "127.0.0.1", port))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield sink
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
