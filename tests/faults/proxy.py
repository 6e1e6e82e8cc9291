"""An HTTP proxy in front of a real S3 server that does what its faults say, and else nothing."""

from __future__ import annotations

import contextlib
import http.client
import random
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from function.demo.s3server import S3Server
from tests.faults import Act, Answered, Asked, Fault, HangUp, Onward

# Of one connection only, so they are not passed on.
HOP = {"connection", "content-length", "expect", "keep-alive", "transfer-encoding"}


class Injected:
    """A fault while it is at work; `hits` counts the requests that it has met."""

    def __init__(self, fault: Fault, chance: random.Random) -> None:
        self.fault = fault
        self.hits = 0
        self._chance = chance
        self._met: Counter[str] = Counter()
        self._lock = threading.Lock()

    def meets(self, asked: Asked) -> bool:
        fault = self.fault
        if fault.method not in ("", asked.method) or not asked.key.startswith(fault.prefix):
            return False
        if fault.creates and not asked.creates:
            return False
        with self._lock:
            spent = fault.count is not None and self.hits >= fault.count
            spent = spent or (fault.each is not None and self._met[asked.path] >= fault.each)
            if spent or self._chance.random() >= fault.share:
                return False
            self.hits += 1
            self._met[asked.path] += 1
            return True


class FaultProxy:
    """A proxy to `server`, at `url` on a free port of 127.0.0.1, in the time of a `with`.

    What a client has signed is passed on as it came, the Host header too; what a fault changes is signed anew.
    """

    def __init__(self, server: S3Server, seed: int = 0) -> None:
        self.server = server
        self._target = urlsplit(server.endpoint).netloc
        self._signing = S3SigV4Auth(Credentials(server.access_key, server.secret_key), "s3", "us-east-1")
        self._chance = random.Random(seed)
        self._injected: tuple[Injected, ...] = ()
        self.open: set[socket.socket] = set()
        self._listening = _Listening(("127.0.0.1", 0), type("Door", (_Door,), {"proxy": self}))
        self._serving = threading.Thread(target=self._listening.serve_forever, kwargs={"poll_interval": 0.05})
        self.url = f"http://127.0.0.1:{self._listening.server_port}"

    @property
    def environment(self) -> dict[str, str]:
        """What another process needs in its environment for boto3 to use the server through the proxy."""
        return self.server.environment | {"AWS_ENDPOINT_URL_S3": self.url}

    @contextmanager
    def injecting(self, *faults: Fault) -> Iterator[list[Injected]]:
        """Has the faults at work, the first nearest to the client; each must meet something by the end."""
        injected = [Injected(fault, self._chance) for fault in faults]
        self._injected += tuple(injected)
        try:
            yield injected
        finally:
            self._injected = tuple(one for one in self._injected if one not in injected)
        idle = [one.fault for one in injected if not one.hits]
        assert not idle, f"met no request: {idle}"

    def __enter__(self) -> Self:
        self._serving.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._listening.shutdown()
        self._serving.join()
        for connection in list(self.open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._listening.server_close()

    def answer(self, asked: Asked, upstream: http.client.HTTPConnection) -> Answered:
        """What the client hears, or `HangUp`."""
        onward: Onward = partial(self._ask, upstream)
        for one in reversed(self._injected):
            if one.meets(asked):
                onward = _through(one.fault.act, onward)
        return onward(asked)

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self._target, timeout=60)

    def _ask(self, upstream: http.client.HTTPConnection, asked: Asked) -> Answered:
        headers = {name: value for name, value in asked.headers.items() if name not in HOP}
        if asked.resign:
            request = AWSRequest(
                asked.method,
                f"http://{self._target}{asked.path}",
                {name: value for name, value in headers.items() if name not in ("host", "authorization")},
                asked.body,
            )
            self._signing.add_auth(request)
            headers = dict(request.headers.items()) | {"host": self._target}
        try:
            upstream.request(asked.method, asked.path, asked.body or None, headers)
            response = upstream.getresponse()
            body = response.read()
            if response.status >= 400:
                upstream.close()  # MinIO hangs up on who sent a PUT that it refused, and does not say so
        except (OSError, http.client.HTTPException) as error:
            upstream.close()
            raise HangUp from error
        return Answered(response.status, dict(response.getheaders()), body)


def _through(act: Act, onward: Onward) -> Onward:
    return lambda asked: act(asked, onward)


class _Listening(ThreadingHTTPServer):
    request_queue_size = 128


class _Door(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    proxy: FaultProxy

    def setup(self) -> None:
        super().setup()
        self._upstream = self.proxy.connect()
        self.proxy.open.add(self.connection)

    def finish(self) -> None:
        self._upstream.close()
        self.proxy.open.discard(self.connection)
        with contextlib.suppress(OSError):
            super().finish()

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            super().handle()

    def handle_expect_100(self) -> bool:
        goes_on = super().handle_expect_100()
        self.wfile.flush()
        return goes_on

    def pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(self.command, self.path, headers, body, id(self))
        try:
            answer = self.proxy.answer(asked, self._upstream)
        except HangUp:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.send_response_only(answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in HOP:
                self.send_header(name, value)
        if answer.status not in (204, 304):
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body[: answer.sent])
        self.wfile.flush()
        self.close_connection = self.close_connection or answer.sent is not None

    do_GET = do_PUT = do_DELETE = do_HEAD = do_POST = pass_on  # noqa: N815  # http.server looks for these names

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass

    def log_error(self, format: str, *args: object) -> None:
        pass
