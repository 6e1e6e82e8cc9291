"""The sweep: what finds the objects and outcomes that every notification missed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import structlog

from events.envelope import encode_json
from events.outcome import Outcome
from events.request import ObjectRef, Request
from function import layout
from function.errors import DarkroomError
from function.files import PromptFiles
from function.store import Listed, ObjectStore
from function.telling import Telling

# A record younger than this is being told by whoever wrote it.
TOLD_WITHIN: Final = timedelta(minutes=1)
CLAIMS_KEPT: Final = timedelta(days=1)

log = structlog.get_logger()


class Sweep:
    """Offers objects again, tells untold outcomes again, and clears away old claims.

    `offer` takes an object that may not be done, and says whether it is known to be.
    """

    def __init__(
        self,
        store: ObjectStore,
        files: PromptFiles,
        telling: Telling,
        offer: Callable[[ObjectRef], bool],
        *,
        horizon: float,
    ) -> None:
        self._store = store
        self._files = files
        self._telling = telling
        self._offer = offer
        self._horizon = timedelta(seconds=horizon)
        # Objects known to be done, so that a bucket of thousands costs one listing and no reads.
        self._done: set[tuple[str, str, str]] = set()

    def __call__(self) -> None:
        """Sweep once; a store or a sink that is away ends this sweep, the next one goes on."""
        try:
            self._offer_forgotten()
            if self._telling.by_sink:
                self._tell_untold()
            self._clear_claims()
        except DarkroomError as error:
            log.warning("sweep.stopped", error=str(error))

    def _young(self, prefix: str, store: ObjectStore) -> Iterator[Listed]:
        oldest = datetime.now(UTC) - self._horizon
        return (listed for listed in store.list(prefix) if listed.modified >= oldest)

    def _offer_forgotten(self) -> None:
        done: set[tuple[str, str, str]] = set()
        for bucket, store in self._files.stores.items():
            for listed in self._young(self._files.prefix, store):
                ref = ObjectRef(bucket, listed.key, etag=listed.etag, size=listed.size)
                if not self._files.admits(ref):
                    continue
                seen = (bucket, listed.key, listed.etag)
                if seen in self._done or self._offer(ref):
                    done.add(seen)
        self._done = done

    def _tell_untold(self) -> None:
        told = {listed.key.removeprefix(layout.TOLD) for listed in self._store.list(layout.TOLD)}
        newest = datetime.now(UTC) - TOLD_WITHIN
        for listed in self._young(layout.RECORDS, self._store):
            key = listed.key.removeprefix(layout.RECORDS).removesuffix(".json")
            if key in told or listed.modified > newest:
                continue
            stored = self._store.read(listed.key)
            record = json.loads(stored.body) if stored else {}
            if record.get("told_by") == "sink":
                log.info("sweep.told_again", key=key)
                self._telling(_request(record["request"]), Outcome(record["outcome"]))

    def _clear_claims(self) -> None:
        over = datetime.now(UTC) - CLAIMS_KEPT
        recorded: dict[str, bool] = {}
        for listed in self._store.list(layout.CLAIMS):
            key = listed.key.removeprefix(layout.CLAIMS).partition("/")[0]
            if listed.modified > over:
                continue
            if key not in recorded:
                recorded[key] = self._store.read(layout.record(key), limit=0) is not None
            if recorded[key]:
                self._store.delete(listed.key)


def _request(recorded: dict[str, Any]) -> Request:
    ref = recorded["object"]
    return Request(
        source=recorded["source"],
        id=recorded["id"],
        received=recorded["prompt"],
        object=ObjectRef(**ref) if ref else None,
        index=recorded["index"],
        context=recorded["context"],
    )


def mark_done(store: ObjectStore, ref: ObjectRef, count: int) -> None:
    """Note that each of the file's `count` prompts has a record."""
    store.write(layout.file(ref.file_key), encode_json({"count": count, "done": True}))


def is_done(store: ObjectStore, ref: ObjectRef) -> bool:
    """Whether each prompt of the file, as read, has a record."""
    stored = store.read(layout.file(ref.file_key))
    return stored is not None and bool(json.loads(stored.body).get("done"))
