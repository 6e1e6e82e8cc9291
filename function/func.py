"""The `func` CLI's contract (`invoke: http`): the same application under Knative's Python middleware."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from asgiref.wsgi import WsgiToAsgi

from function.bootstrap import Function as Built
from function.bootstrap import build
from function.config import Settings
from function.health import State
from function.logs import configure

# How long stop() waits: the middleware cuts answers after 3 s, but a render that commits is replayed for free.
GRACE = 570.0


class Function:
    """What `func-python` serves: an ASGI `handle`, and the hooks of its life cycle."""

    def __init__(self) -> None:
        self._built: Built | None = None
        self._asgi: Any = None

    def start(self, cfg: Mapping[str, str]) -> None:
        """Take the settings from the platform and begin to load the model."""
        settings = Settings.from_environment(cfg)
        configure(settings.log_format)
        self._built = build(settings)
        self._asgi = WsgiToAsgi(self._built.app)
        threading.Thread(target=self._load, args=(self._built,), name="load", daemon=True).start()

    async def handle(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one HTTP request."""
        await self._asgi(scope, receive, send)

    def stop(self) -> None:
        """Refuse new work and wait for what is running."""
        if self._built is not None:
            self._built.health.drain()
            self._built.health.wait_idle(GRACE)

    def alive(self) -> tuple[bool, str]:
        """Liveness: false only when nothing can be rendered here any more."""
        return self._state() is not State.DEFUNCT, self._state().value

    def ready(self) -> tuple[bool, str]:
        """Readiness: the model is loaded and warm."""
        return self._state() is State.READY, self._state().value

    def _state(self) -> State:
        # The middleware swallows a failing start() and serves all the same.
        return self._built.health.state if self._built is not None else State.DEFUNCT

    @staticmethod
    def _load(built: Built) -> None:
        try:
            built.load()
        except Exception:
            built.health.lost()
            raise
        built.health.loaded()


def new() -> Function:
    """The factory that the middleware looks for."""
    return Function()
