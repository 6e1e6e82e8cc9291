"""The `func` CLI's contract (`invoke: http`): the same application under Knative's Python middleware."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any

import click
import structlog
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Response

from function.bootstrap import Function as Built
from function.bootstrap import build
from function.config import Settings, WrongSettings, unknown
from function.doors.app import MAX_BODY
from function.doors.server import GPU_LOST, LAST_WORDS, LOAD_FAILED, THREADS, leave, load_model
from function.errors import DarkroomError, TooLarge
from function.health import State
from function.logs import configure
from function.render.weights import ModelUnavailable

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]

log = structlog.get_logger()


class Function:
    """What `func-python` serves: an ASGI `handle`, and the hooks of its life cycle."""

    def __init__(self) -> None:
        self._built: Built | None = None
        self._threads = ThreadPoolExecutor(THREADS, "request")

    def start(self, cfg: Mapping[str, str]) -> None:
        """Take the settings from the environment and begin to load the model; wrong settings end the process."""
        try:
            settings = Settings.from_environment(cfg)
            configure(settings.log_format)
            self._built = build(settings)
        except (WrongSettings, DarkroomError, ModelUnavailable) as error:
            # The middleware swallows every exception, and serves without having started.
            click.echo(f"Error: {error}", err=True)
            leave(1)
        for sentence in unknown(cfg):
            log.warning("settings.unknown", detail=sentence)
        threading.Thread(target=_live, args=(self._built,), name="life", daemon=True).start()

    async def handle(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one HTTP request; a body over the limit is not read to its end."""
        body = await _body(scope, receive)
        if body is None:
            response = Response(TooLarge.message + "\n", TooLarge.event_status, content_type="text/plain")
        else:
            # A thread is never interrupted, so a render whose answer is cut still commits.
            loop = asyncio.get_running_loop()
            response = await loop.run_in_executor(self._threads, self._answer, scope, body)
        headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]
        await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": response.get_data()})

    def stop(self) -> None:
        """Refuse new work; what runs is recorded before the process ends, though the middleware cuts its answer."""
        if self._built is not None:
            self._built.health.drain()
        self._threads.shutdown()

    def alive(self) -> tuple[bool, str]:
        """Liveness: false only when nothing can be rendered here any more."""
        return self._state() is not State.DEFUNCT, self._state().value

    def ready(self) -> tuple[bool, str]:
        """Readiness: the model is loaded and warm."""
        return self._state() is State.READY, self._state().value

    def _state(self) -> State:
        return self._built.health.state if self._built is not None else State.DEFUNCT

    def _answer(self, scope: Mapping[str, Any], body: bytes) -> Response:
        if self._built is None:
            return Response(status=503)
        # The body is whole by now, however it came.
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        environ = EnvironBuilder(
            path=scope["path"],
            query_string=scope["query_string"].decode("latin-1"),
            method=scope["method"],
            headers=[(name, value) for name, value in headers if name != "transfer-encoding"],
            input_stream=BytesIO(body),
        ).get_environ()
        return Response.from_app(self._built.app, environ, buffered=True)


def _live(built: Built) -> None:
    """Load the model, and end the process as `function.doors.server` would when nothing can be rendered any more."""
    failed = threading.Event()
    load_model(built.load, built.health, failed.set)
    built.health.wait_over()
    if built.health.state is State.DEFUNCT:
        built.health.wait_idle(LAST_WORDS)
        leave(LOAD_FAILED if failed.is_set() else GPU_LOST)


async def _body(scope: Mapping[str, Any], receive: Receive) -> bytes | None:
    """The request's body, None if it is over the limit or its sender is gone."""
    declared = dict(scope["headers"]).get(b"content-length", b"0")
    if int(declared) > MAX_BODY:
        return None
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if len(body) > MAX_BODY:
            return None
        if not message.get("more_body"):
            return bytes(body)


def new() -> Function:
    """The factory that the middleware looks for."""
    return Function()
