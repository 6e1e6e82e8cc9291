"""A hub on this machine: as much of the real one's API as its library asks for, over real HTTP, with its faults."""

from __future__ import annotations

import hashlib
import json
import socket
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final
from urllib.parse import unquote, urlsplit

COMMIT: Final = "0123456789abcdef0123456789abcdef01234567"
OTHER: Final = "76543210fedcba9876543210fedcba9876543210"
TAIL: Final = 1000  # what is missing of a file that was broken off
TOKEN: Final = "hf_of-a-test"  # noqa: S105  # opens nothing but this


@dataclass
class Hub:
    """What is at the hub, what goes wrong there, and what was asked of it.

    Of a `private` model nobody knows without `TOKEN`, of a `gated` one its files are closed; a mirror that
    `knows_little` lists names alone. Weights are in git LFS but for those `in_git`. A file in `cuts` or `resets` is
    broken off before its end as often as it says, in `forged` comes as it says; the first `away` requests are answered
    503, files with `wrong` unless that is 0. The file that `stalls` stops before its end, says so in `stalled`, and
    waits for `go_on`.
    """

    files: Mapping[str, bytes]
    name: str = "owner/shapes"
    commits: tuple[str, ...] = (COMMIT, OTHER)
    private: bool = False
    gated: bool = False
    knows_little: bool = False
    in_git: tuple[str, ...] = ()
    cuts: dict[str, int] = field(default_factory=dict)
    resets: dict[str, int] = field(default_factory=dict)
    forged: dict[str, bytes] = field(default_factory=dict)
    away: int = 0
    wrong: int = 0
    stalls: str = ""
    stalled: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def got(self) -> list[str]:
        """The files that were asked for, with where in them."""
        return [line.removeprefix("GET ") for line in self.asked if line.startswith("GET /owner")]

    def listing(self) -> dict[str, object]:
        return {"id": self.name, "sha": COMMIT, "siblings": [self._file(*item) for item in self.files.items()]}

    def _file(self, name: str, content: bytes) -> dict[str, object]:
        file: dict[str, object] = {"rfilename": name}
        if self.knows_little:
            return file
        if self.is_large(name):
            file["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
        return file | {"size": len(content), "blobId": git_sum(content)}

    def is_large(self, name: str) -> bool:
        return not name.endswith((".json", ".txt", ".md")) and name not in self.in_git


def git_sum(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


class _Door(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        where = self.headers["Range"]
        self.hub.asked.append(f"{self.command} {path}" + (f" {where}" if where else ""))
        if self.hub.away:
            self.hub.away -= 1
            self._say(503)
        elif not path.startswith((f"/api/models/{self.hub.name}/", f"/{self.hub.name}/")):
            self._say(404, {"X-Error-Code": "RepoNotFound"})
        elif self.hub.private and not self._may():
            self._refuse()
        elif not set(path.split("/")) & set(self.hub.commits):
            self._say(404, {"X-Error-Code": "RevisionNotFound"})
        elif path.startswith("/api/"):
            self._say(200, {"Content-Type": "application/json"}, json.dumps(self.hub.listing()).encode())
        elif self.hub.gated and not self._may():
            self._say(401 if self.headers["Authorization"] is None else 403, {"X-Error-Code": "GatedRepo"})
        elif self.hub.wrong:
            # A redirect leads to itself.
            self._say(self.hub.wrong, {"Location": self.path})
        else:
            self._give(path.partition("/resolve/")[2].partition("/")[2])

    def _may(self) -> bool:
        return self.headers["Authorization"] == f"Bearer {TOKEN}"

    def _refuse(self) -> None:
        if self.headers["Authorization"]:
            self._say(401, {"X-Error-Message": "Invalid credentials in Authorization header"})
        else:
            self._say(401, {"X-Error-Code": "RepoNotFound"})

    def _give(self, name: str) -> None:
        content = self.hub.files[name]
        known = {"X-Repo-Commit": COMMIT, "ETag": f'"{git_sum(content)}"', "Accept-Ranges": "bytes"}
        if self.hub.is_large(name):
            known["X-Linked-Etag"] = f'"{hashlib.sha256(content).hexdigest()}"'
            known["X-Linked-Size"] = str(len(content))
        begin = int((self.headers["Range"] or "bytes=0-").removeprefix("bytes=").partition("-")[0])
        known["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
        self._say(206 if begin else 200, known, self.hub.forged.get(name, content)[begin:], name)

    def _say(self, status: int, headers: Mapping[str, str] | None = None, body: bytes = b"", name: str = "") -> None:
        self.send_response(status)
        for header, value in (headers or {}).items():
            self.send_header(header, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        for faults in (self.hub.cuts, self.hub.resets):
            if faults.get(name):
                faults[name] -= 1
                self.wfile.write(body[:-TAIL])
                self.wfile.flush()
                self._hang_up(reset=faults is self.hub.resets)
                return
        if name and name == self.hub.stalls:
            self.wfile.write(body[:-TAIL])
            self.wfile.flush()
            self.hub.stalled.set()
            self.hub.go_on.wait(600)
            body = body[-TAIL:]
        with suppress(ConnectionError):  # whoever asked is gone
            self.wfile.write(body)

    def _hang_up(self, *, reset: bool) -> None:
        self.close_connection = True
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Door", (_Door,), {"hub": hub}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub
    finally:
        hub.go_on.set()
        server.shutdown()
        thread.join()
        server.server_close()
