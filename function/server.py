"""The server process: waitress, the loading model beside it, and a shutdown that loses nothing."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Final

import structlog
import waitress
from flask import Flask

from function.app import ADMITTED, MAX_BODY
from function.config import Settings
from function.health import Health, State

# Four threads more than requests are admitted, so that probes never wait for renders.
THREADS: Final = ADMITTED + 4
LOAD_FAILED: Final = 1
GPU_LOST: Final = 70

log = structlog.get_logger()


def serve(app: Flask, settings: Settings, health: Health, load: Callable[[], None]) -> int:
    """Answer at once, load the model in the background, and return the exit code after a drain.

    At SIGTERM (or SIGINT) new work is refused, running work is finished, and the code is 0.
    """
    server = waitress.create_server(
        app,
        host=settings.host,
        port=settings.port,
        threads=THREADS,
        max_request_body_size=MAX_BODY + 1,
        channel_timeout=30,
        cleanup_interval=5,
        ident=None,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: health.drain())
    threading.Thread(target=server.run, name="server", daemon=True).start()
    log.info("server.listening", host=settings.host, port=server.effective_port)
    failed = threading.Event()
    threading.Thread(target=_load, args=(load, health, failed), name="load", daemon=True).start()

    health.wait_over()
    if failed.is_set():
        return LOAD_FAILED
    if health.state is State.DEFUNCT:
        return GPU_LOST
    log.info("server.draining")
    if not health.wait_idle(settings.drain_grace):
        log.error("server.drain_too_long", seconds=settings.drain_grace)
    _flush(server)
    log.info("server.stopped")
    return 0


def _load(load: Callable[[], None], health: Health, failed: threading.Event) -> None:
    try:
        load()
    except Exception as error:
        log.error("model.not_loaded", error=str(error))  # noqa: TRY400  # one sentence; the traceback is for bugs
        failed.set()
        health.lost()
        return
    health.loaded()


def _flush(server: waitress.server.BaseWSGIServer) -> None:
    """Let answers that are still in waitress' buffers reach their senders, for at most five seconds."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        channels = list(server.active_channels.values())
        if not any(channel.total_outbufs_len or channel.requests for channel in channels):
            return
        time.sleep(0.01)


def leave(code: int) -> None:
    """End the process now: the interpreter would wait for native threads that a lost GPU never wakes."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
