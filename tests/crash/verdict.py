"""What is wrong with what happened: read from the store, the answers, the sink and the log of renders."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from events.request import key_of
from function import layout
from function.store import ObjectStore
from tests.crash.history import SOURCE, Happened
from tests.darkroom import without_urls


def faults(happened: Happened, store: ObjectStore, told: list[dict[str, Any]], renders: int) -> list[str]:
    """A sentence for each promise that was broken; `told` is what the sink was told of this event."""
    return [f"{happened.history.id}: {fault}" for fault in _faults(happened, store, told, renders)]


def _faults(happened: Happened, store: ObjectStore, told: list[dict[str, Any]], renders: int) -> Iterator[str]:
    history = happened.history
    key = key_of(SOURCE, history.id)
    if len(happened.finals) < history.lanes:
        yield f"lost: {happened.answers}"
    stored = store.read(layout.record(key))
    if stored is None:
        yield "lost: no record"
        return
    outcome = json.loads(stored.body)["outcome"]
    replies = [event for event in happened.finals if event is not None]
    if history.sink and (replies or not told):
        yield f"told {len(told)} times by the sink and {len(replies)} times by reply"
    seen = {json.dumps(without_urls(event), sort_keys=True) for event in [*replies, *told, outcome]}
    if len(seen) > 1:
        yield f"different outcomes: {sorted(seen)}"
    for image in outcome["data"].get("images", ()):
        picture = store.read(image["key"])
        if picture is None:
            yield "an orphan record: its image is not there"
        elif not image["sha256"] == picture.metadata["sha256"] == hashlib.sha256(picture.body).hexdigest():
            yield "an orphan record: another image is there"
    # What is stopped for less than a lease is not dead.
    deaths = happened.kills + sum(seconds > history.lease for seconds in happened.stops)
    if renders > 1 + deaths:
        yield f"{renders} renders after {deaths} deaths"
    yield from _early_takeovers(store, key, history.lease)


def _early_takeovers(store: ObjectStore, key: str, lease: float) -> Iterator[str]:
    """Attempts that began although the one before had no end and had been heard of within the lease."""
    before: tuple[datetime, bool] | None = None
    number = 1
    while stored := store.read(layout.claim(key, number)):
        # When it was created is not known any more if it has beaten since; then it was no earlier than this.
        if before and not before[1] and (stored.modified - before[0]).total_seconds() <= lease:
            yield f"attempt {number} began {stored.modified - before[0]} after the last sign of life of the one before"
        before = (stored.modified, b'"ended"' in stored.body)
        number += 1
