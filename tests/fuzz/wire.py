"""HTTP/1.1 by the byte: what no client library would send, over connections that are kept."""

from __future__ import annotations

import re
import select
import socket
from dataclasses import dataclass
from typing import Final, Self

# Seconds; a server that takes longer hangs.
PATIENCE: Final = 60.0
HEAD_END: Final = b"\r\n\r\n"
CONTINUE: Final = re.compile(rb"HTTP/1\.1 100 Continue\r\n\r\n")


@dataclass(frozen=True)
class Answer:
    """An answer that came whole; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @classmethod
    def of(cls, head: bytes, body: bytes) -> Self:
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return cls(int(first.split(" ")[1]), headers, body)


class Connection:
    """One connection at a time to a port of this machine, opened anew when the server has closed the last one."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None
        self.opened = 0

    def send(self, raw: bytes, *, cut: bool = False) -> None:
        """Send bytes; `cut`: and never anything after them. A refused connection is the server's end: OSError."""
        if self._socket is None or select.select([self._socket], [], [], 0)[0]:
            # Readable before anything was sent: closed.
            self.close()
            self._socket = socket.create_connection(("127.0.0.1", self._port), PATIENCE)
            self.opened += 1
        try:
            self._socket.sendall(raw)
            if cut:
                self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            # A server that refuses a body reads no more of it; its answer may be there.
            return

    def receive(self) -> Answer | None:
        """The next answer; None if the server hangs up, or hung up, without one."""
        assert self._socket is not None
        got = b""
        while HEAD_END not in (got := CONTINUE.sub(b"", got)):
            if not (more := self._more()):
                self.close()
                return None
            got += more
        head, _, body = got.partition(HEAD_END)
        answer = Answer.of(head, b"")
        length = int(answer.headers.get("content-length", "0"))
        while len(body) < length:
            if not (more := self._more()):
                self.close()
                return None
            body += more
        if answer.headers.get("connection") == "close" or len(body) > length:
            self.close()
        return Answer.of(head, body[:length])

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _more(self) -> bytes:
        assert self._socket is not None
        try:
            return self._socket.recv(65536)
        except ConnectionResetError:
            return b""
