"""Telling: an outcome's way to whoever waits for it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from urllib.parse import quote

import structlog

from events.envelope import encode_json
from events.outcome import UNRECORDED, Outcome
from events.request import Request
from function import layout
from function.errors import StoreDown
from function.store import ObjectStore
from function.telling.sink import Sink

log = structlog.get_logger()


class ImageUrls(Protocol):
    def __call__(self, key: str) -> Mapping[str, str]:
        """`url` and, if it ends, `url_expires_at` of an image."""


class PublicUrls:
    """URLs below a public base, which never expire."""

    def __init__(self, base: str) -> None:
        self._base = base.rstrip("/")

    def __call__(self, key: str) -> Mapping[str, str]:
        return {"url": f"{self._base}/{quote(key)}"}


class PresignedUrls:
    """URLs signed for `seconds`, or for as long as the credentials live."""

    def __init__(self, store: ObjectStore, seconds: int) -> None:
        self._store = store
        self._seconds = seconds

    def __call__(self, key: str) -> Mapping[str, str]:
        url, seconds = self._store.presigned_url(key, self._seconds)
        expires = datetime.now(UTC) + timedelta(seconds=seconds)
        return {"url": url, "url_expires_at": expires.isoformat(timespec="seconds")}


class Telling:
    """Leaves a dropped file's outcome in `results/`, then hands it to the sink or, without one, to the reply.

    With `results_tell` nobody hears replies for files, so that `results/` has to be written.
    """

    def __init__(self, store: ObjectStore, urls: ImageUrls, sink: Sink | None, *, results_tell: bool = False) -> None:
        self._store = store
        self._urls = urls
        self._sink = sink
        self._results_tell = results_tell

    @property
    def by_sink(self) -> bool:
        return self._sink is not None

    def __call__(self, request: Request, outcome: Outcome) -> dict[str, Any] | None:
        """The event to reply with, or None once the sink has it; `SinkDown` if the sink does not take it."""
        event = self.tell(request, outcome)
        return None if self.by_sink else event

    def tell(self, request: Request, outcome: Outcome) -> dict[str, Any]:
        """The event, once the sink has it if there is one; `SinkDown` if the sink does not take it."""
        event = self.leave_result(request, outcome)
        if self._sink is not None:
            self._sink.tell(event)
            if outcome.code not in UNRECORDED:
                self._mark_told(request)
        return event

    def leave_result(self, request: Request, outcome: Outcome) -> dict[str, Any]:
        """The outcome as it is told now, left in `results/` if a file asked for it."""
        event = outcome.with_urls(self._urls)
        if request.object is None:
            return event
        name = layout.result(request.object, request.index)
        try:
            self._store.write(name, encode_json(event))
        except StoreDown as error:
            # Derived from the record, so its loss is no reason to refuse the request, unless nothing else tells it.
            if self._results_tell:
                raise
            log.warning("result.not_written", name=name, error=str(error))
        return event

    def _mark_told(self, request: Request) -> None:
        # The sink has the event; without the mark the sweep only tells it once more.
        try:
            self._store.write(layout.told(request.key), b"{}")
        except StoreDown as error:
            log.warning("told.not_written", key=request.key, error=str(error))
