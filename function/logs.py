"""Logs: one line an event, JSON for machines, colours for a terminal."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Literal, TextIO, cast

import structlog


class _MayBeLost:
    """A stream, but for what cannot be written to it: a full disk under the log is no reason to refuse a request."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()


def configure(log_format: Literal["auto", "console", "json"]) -> None:
    """Write logs to standard error; `auto` is console on a terminal and JSON elsewhere."""
    console = log_format == "console" or (log_format == "auto" and sys.stderr.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    # Not the fancy traceback, which would print local variables: prompts and secrets.
    last: list[structlog.typing.Processor] = (
        [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
        if console
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=shared + last,
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", _MayBeLost(sys.stderr))),
        cache_logger_on_first_use=True,
    )
