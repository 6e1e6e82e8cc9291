"""The sweep: what finds the objects and outcomes that every notification missed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from events.request import ObjectRef
from function import layout
from function.bucket.files import PromptFiles
from function.errors import DarkroomError, SinkDown, SinkRefused
from function.ledger import records
from function.store import Listed, ObjectStore, check_store
from function.telling import Telling

CLAIMS_KEPT: Final = timedelta(days=1)
# Seconds: a sweep every 30 s need not list all claims each time.
CLAIMS_EVERY: Final = 3600.0

# Bucket, key, etag and time of the last write.
Listing = tuple[str, str, str, datetime]

log = structlog.get_logger()


class Sweep:
    """Offers objects again, tells untold outcomes again, and clears away old claims.

    `offer` takes an object that may not be done, with how it was listed, and says whether that is known to be done.
    """

    def __init__(
        self,
        store: ObjectStore,
        files: PromptFiles,
        telling: Telling,
        offer: Callable[[ObjectRef, Listing], bool],
        *,
        horizon: float,
        untold_after: float = 60,
    ) -> None:
        self._store = store
        self._files = files
        self._telling = telling
        self._offer = offer
        self._horizon = timedelta(seconds=horizon)
        self._untold_after = timedelta(seconds=untold_after)
        self.stopped = False
        self._postponed = 0
        self._claims_cleared = -CLAIMS_EVERY
        # Objects known to be done, so that a bucket of thousands costs one listing and no reads.
        self._done: set[Listing] = set()

    def __call__(self) -> int:
        """Sweep once, and say how many things could not be done now: they are logged, and tried next time."""
        self._postponed = 0
        with suppress(_Ended):
            self._done = {seen for bucket in self._files.stores for seen in self._offer_forgotten(bucket)}
        with suppress(_Ended), self._logged("untold"):
            if self._telling.by_sink:
                self._tell_untold()
        if time.monotonic() - self._claims_cleared >= CLAIMS_EVERY:
            with suppress(_Ended), self._logged("claims"):
                self._clear_claims()
                self._claims_cleared = time.monotonic()
        return self._postponed

    def stop(self) -> None:
        """End at the next object, for good; what is left is for another sweep."""
        self.stopped = True

    def _list(self, prefix: str, store: ObjectStore) -> Iterator[Listed]:
        for listed in store.list(prefix):
            if self.stopped:
                raise _Ended
            yield listed

    def _young(self, prefix: str, store: ObjectStore) -> Iterator[Listed]:
        oldest = datetime.now(UTC) - self._horizon
        return (listed for listed in self._list(prefix, store) if listed.modified >= oldest)

    def _offer_forgotten(self, bucket: str) -> set[Listing]:
        """Those of the bucket's objects that are done."""
        done = set()
        with self._logged(bucket):
            for listed in self._young(self._files.prefix, self._files.stores[bucket]):
                ref = ObjectRef(bucket, listed.key, etag=listed.etag, size=listed.size)
                # The same content put again is a new version, if the bucket keeps any.
                seen = (bucket, listed.key, listed.etag, listed.modified)
                with self._logged(listed.key):
                    if self._files.admits(ref) and (seen in self._done or self._offer(ref, seen)):
                        done.add(seen)
        return done

    def _tell_untold(self) -> None:
        told = {listed.key.removeprefix(layout.TOLD) for listed in self._list(layout.TOLD, self._store)}
        # What is younger is being told by whoever wrote it.
        newest = datetime.now(UTC) - self._untold_after
        for listed in self._young(layout.RECORDS, self._store):
            key = listed.key.removeprefix(layout.RECORDS).removesuffix(".json")
            if key in told or listed.modified > newest:
                continue
            with self._logged(listed.key):
                self._tell_again(key)

    def _tell_again(self, key: str) -> None:
        record = records.read(self._store, key)
        if record is None:
            return
        if record.told_by == "sink":
            log.info("sweep.told_again", key=key)
            self._telling(record.request, record.outcome)
        else:
            # Nothing is left to tell, so that no later sweep need read it.
            self._store.write(layout.told(key), b"{}")

    def _clear_claims(self) -> None:
        over = datetime.now(UTC) - CLAIMS_KEPT
        recorded: dict[str, bool] = {}
        for listed in self._list(layout.CLAIMS, self._store):
            key = listed.key.removeprefix(layout.CLAIMS).partition("/")[0]
            if listed.modified > over:
                continue
            with self._logged(listed.key):
                if key not in recorded:
                    # A check of the store that was killed leaves what never gets a record.
                    left = listed.key.startswith(check_store.PREFIX)
                    recorded[key] = left or records.exists(self._store, key)
                if recorded[key]:
                    self._store.delete(listed.key)

    @contextmanager
    def _logged(self, what: str) -> Iterator[None]:
        """Go on after whatever went wrong with one thing: it must not keep the sweep from all others."""
        try:
            yield
        except _Ended:
            raise
        except DarkroomError as error:
            self._postponed += 1
            log.warning("sweep.postponed", what=what, error=str(error))
            if isinstance(error, SinkDown) and not isinstance(error, SinkRefused):
                # Each of thousands would wait for it anew; a refusal is quick, and of this one alone.
                raise _Ended from error
        except (ValueError, KeyError, TypeError, AttributeError):
            self._postponed += 1
            log.exception("sweep.unreadable", what=what)


class _Ended(Exception):
    """There is no sink to go on with, or no time: the process is to stop."""
