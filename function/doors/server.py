"""The server process: waitress, the loading model beside it, and a shutdown that loses nothing."""

from __future__ import annotations

import os
import queue
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, NoReturn

import structlog
import waitress
from flask import Flask
from waitress.channel import HTTPChannel
from waitress.server import BaseWSGIServer
from waitress.task import ErrorTask, WSGITask
from waitress.wasyncore import dispatcher

from function.config import Settings, WrongSettings
from function.doors.app import ADMITTED
from function.errors import GpuLost
from function.health import Health, State

# Four threads more than both doors admit, so that probes never wait for renders.
THREADS: Final = 2 * ADMITTED + 4
# Slow senders hold a connection but no thread; the server waits on all of them with select(), which ends at 1024.
CONNECTIONS: Final = 500
LOAD_FAILED: Final = 1
GPU_LOST: Final = 70

# Seconds in which a request that was only begun must arrive.
LAST_REQUESTS: Final = 5.0
# Seconds in which the last answers must be taken.
LAST_ANSWERS: Final = 30.0
# Seconds in which work must end, and then answers be taken, where the GPU is lost: nobody may wait for a GPU that
# never answers. What is cut costs little, for an attempt without an end counts as dead, and this one would count too.
LAST_WORDS: Final = 1.0
LAST_WORDS_TAKEN: Final = 0.5
# So many looks at all connections, 20 ms apart, must find nothing to do before the process ends.
CALM_TURNS: Final = 10

log = structlog.get_logger()


def serve(app: Flask, settings: Settings, health: Health, load: Callable[[], None]) -> int:
    """Answer at once, load the model in the background, and return the exit code after a drain.

    At SIGTERM (or SIGINT) new work is refused, running work is finished, and the code is 0.
    """
    _drain_at_signals(health)
    server = _listen(app, settings, health)
    threading.Thread(target=server.run, name="server", daemon=True).start()
    told_by = "sink" if settings.sink else "reply"
    log.info("server.listening", host=settings.host, port=server.effective_port, told_by=told_by)
    failed = threading.Event()
    threading.Thread(target=load_model, args=(load, health, failed.set), name="load", daemon=True).start()

    health.wait_over()
    log.info("server.draining", state=health.state.value)
    lost = health.state is State.DEFUNCT
    grace = LAST_WORDS if lost else settings.drain_grace
    idle = health.wait_idle(grace)
    if not idle:
        log.error("server.drain_too_long", seconds=grace)
    _finish(server, (LAST_WORDS_TAKEN if lost else LAST_ANSWERS) if idle else 0)
    log.info("server.stopped")
    if failed.is_set():
        return LOAD_FAILED
    return GPU_LOST if health.state is State.DEFUNCT else 0


def _drain_at_signals(health: Health) -> None:
    # A handler runs between any two steps of the main thread, where taking a lock may miss a waiter or wait for ever.
    signals: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda caught, _frame: signals.put(caught))

    def drain() -> None:
        signals.get()
        health.drain()

    threading.Thread(target=drain, name="signals", daemon=True).start()


def _listen(app: Flask, settings: Settings, health: Health) -> BaseWSGIServer:
    class Task(WSGITask):  # type: ignore[misc]  # waitress has no types
        def build_response_header(self) -> bytes:
            # A sender that kept its connection would lose the request that crosses our end on it.
            if health.state in (State.DRAINING, State.DEFUNCT):
                self.set_close_on_finish()
            header: bytes = super().build_response_header()
            return header

    class Refusal(ErrorTask):  # type: ignore[misc]  # "
        def execute(self) -> None:
            self.request.error.body = ""  # waitress' own sentences repeat what was sent
            super().execute()

    class Channel(HTTPChannel):  # type: ignore[misc]  # "
        task_class = Task
        error_task_class = Refusal

    max_body = app.config["MAX_CONTENT_LENGTH"]
    try:
        server = waitress.create_server(
            app,
            host=settings.host,
            port=settings.port,
            threads=THREADS,
            connection_limit=CONNECTIONS,
            max_request_body_size=max_body + 1,
            inbuf_overflow=2 * max_body,  # bodies stay in memory: the container's file system may be read-only
            channel_timeout=30,
            cleanup_interval=5,
            ident=None,
        )
    except (OSError, ValueError) as error:
        raise WrongSettings(f"cannot listen on {settings.host}, port {settings.port}: {error}") from error
    if not hasattr(server, "effective_port"):
        raise WrongSettings(f"DARKROOM_HOST {settings.host} means several addresses; name one of them")
    server.channel_class = Channel
    return server


def load_model(load: Callable[[], None], health: Health, failing: Callable[[], None] = lambda: None) -> None:
    """Load, and say in `health` how that went, after `failing` if the model was at fault and not the GPU."""
    try:
        load()
    except GpuLost as error:
        log.error("start.failed", error=str(error))  # noqa: TRY400  # one sentence; the traceback is for bugs
        health.lost()
        return
    except Exception as error:  # noqa: BLE001  # whatever it was: no model, or a store that fails its check
        log.error("start.failed", error=str(error))  # noqa: TRY400  # "
        failing()
        health.lost()
        return
    health.loaded()


def _finish(server: BaseWSGIServer, patience: float) -> None:
    """Take no more connections, and end when on those nothing was under way for a while, or `patience` is over."""
    server.trigger.pull_trigger(lambda: _close(server))
    began, turned, calm = time.monotonic(), threading.Event(), 0
    while calm < CALM_TURNS:
        # Once round in waitress' own thread, so that it has looked at every connection.
        server.trigger.pull_trigger(turned.set)
        turned.wait(1)
        turned.clear()
        channels = list(server.active_channels.values())
        waited = time.monotonic() - began
        answering = sum(bool(channel.requests or channel.total_outbufs_len) for channel in channels)
        if waited > patience:
            if answering:
                log.error("server.answers_cut", connections=answering)
            return
        receiving = any(channel.request for channel in channels) and waited < LAST_REQUESTS
        calm = 0 if answering or receiving else calm + 1
        time.sleep(0.02)


def _close(server: BaseWSGIServer) -> None:
    """Stop listening, with nobody left in the queue, who would be cut off."""
    while select.select([server.socket], [], [], 0)[0]:
        server.handle_accept()
    dispatcher.close(server)


def leave(code: int) -> NoReturn:
    """End the process now: the interpreter would wait for native threads that a lost GPU never wakes."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(code)
