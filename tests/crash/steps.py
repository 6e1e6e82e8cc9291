"""The steps of the protocol, seen at the store's door, where a delivery can be killed or stopped; and broken stores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from function import layout
from function.store import JSON, Listed, ObjectStore, Stored


class Step(StrEnum):
    """Where a delivery is, in order."""

    CLAIM = "before the claim's PUT"
    CLAIMED = "after the claim's PUT"
    RENDER = "in the render"
    IMAGE = "before the image's PUT"
    KEPT = "after the image's PUT"
    RECORD = "before the record's PUT"
    RECORDED = "after the record's PUT"
    END = "before the claim's end"
    ENDED = "after the claim's end"
    TELL = "before the telling"
    SENT = "after the sink's answer, before told/"
    TOLD = "after told/"
    REPLY = "before the reply"


# Those that no delivery without a sink comes by.
WITH_SINK: Final = frozenset({Step.SENT, Step.TOLD})
CREATED: Final = {
    layout.CLAIMS: (Step.CLAIM, Step.CLAIMED),
    layout.IMAGES: (Step.IMAGE, Step.KEPT),
    layout.RECORDS: (Step.RECORD, Step.RECORDED),
}


class Through:
    """Another store, unchanged."""

    def __init__(self, store: ObjectStore) -> None:
        self.store = store
        self.bucket = store.bucket

    def create(
        self, key: str, body: bytes, content_type: str = JSON, metadata: Mapping[str, str] | None = None
    ) -> bool:
        return self.store.create(key, body, content_type, metadata)

    def write(self, key: str, body: bytes, content_type: str = JSON) -> None:
        self.store.write(key, body, content_type)

    def read(self, key: str, version: str | None = None, limit: int | None = None) -> Stored | None:
        return self.store.read(key, version, limit)

    def list(self, prefix: str) -> Iterator[Listed]:
        return self.store.list(prefix)

    def delete(self, key: str) -> None:
        self.store.delete(key)

    def presigned_url(self, key: str, seconds: int) -> tuple[str, int]:
        return self.store.presigned_url(key, seconds)


class Watched(Through):
    """Says by `reach` which step of the protocol begins or is over."""

    def __init__(self, store: ObjectStore, reach: Callable[[Step], None]) -> None:
        super().__init__(store)
        self._reach = reach

    def create(
        self, key: str, body: bytes, content_type: str = JSON, metadata: Mapping[str, str] | None = None
    ) -> bool:
        before, after = CREATED[_prefix(key)]
        self._reach(before)
        created = self.store.create(key, body, content_type, metadata)
        if created:
            self._reach(after)
        return created

    def write(self, key: str, body: bytes, content_type: str = JSON) -> None:
        steps: tuple[Step, ...] = ()
        if _prefix(key) == layout.TOLD:
            steps = (Step.SENT, Step.TOLD)
        elif _prefix(key) == layout.CLAIMS and b'"ended"' in body:
            steps = (Step.END, Step.ENDED)
        for step in steps[:1]:
            self._reach(step)
        self.store.write(key, body, content_type)
        for step in steps[1:]:
            self._reach(step)

    def presigned_url(self, key: str, seconds: int) -> tuple[str, int]:
        self._reach(Step.TELL)
        return self.store.presigned_url(key, seconds)


class Unconditional(Through):
    """Creates under `prefix` what is there already."""

    prefix = ""

    def create(
        self, key: str, body: bytes, content_type: str = JSON, metadata: Mapping[str, str] | None = None
    ) -> bool:
        if key.startswith(self.prefix):
            self.store.delete(key)
        return self.store.create(key, body, content_type, metadata)


class ClaimsIgnored(Unconditional):
    prefix = layout.CLAIMS


class ImagesOverwritten(Unconditional):
    prefix = layout.IMAGES


class RecordsOverwritten(Unconditional):
    prefix = layout.RECORDS


class ClockOfThePod(Through):
    """Has the reader's own clock decide what is dead."""

    def read(self, key: str, version: str | None = None, limit: int | None = None) -> Stored | None:
        stored = self.store.read(key, version, limit)
        return stored and replace(stored, now=datetime.now(UTC))


STORES: Final[Mapping[str, Callable[[ObjectStore], ObjectStore]]] = {
    kind.__name__: kind for kind in (Through, ClaimsIgnored, ImagesOverwritten, RecordsOverwritten, ClockOfThePod)
}


def _prefix(key: str) -> str:
    return key.partition("/")[0] + "/"
