"""Whether a store keeps the promises that the ledger stands on."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from function.errors import AccessDenied, StoreDown
from function.store import ObjectStore, Stored
from function.store.race import NotStartedError, race

RACERS: Final = 32
KEYS: Final = 20
PREFIX: Final = "claims/check-store-"
# Seconds in which a clock of whole seconds moves on, even where two nodes of a store are a second apart.
TICK: Final = 2.1
# Seconds by which the store's clock may be wrong about a fresh object.
SKEW: Final = 5.0

_ANOTHER: Final = "two processes would render one request, so use another store or a newer version of it"
_CACHE: Final = "take caches and replicas out from between Darkroom and the store, or use another store"
_CLOCK: Final = "let the store's own Date header pass, and keep the clocks of its nodes together"
_THREADS: Final = "give this process more threads (the pod's limit of process ids, or ulimit -u), or race with fewer"
_DELETE: Final = f"allow deletion below claims/, and delete by hand what this check left below {PREFIX}"


class StoreBroken(Exception):
    """The store breaks promises, or may, so nothing may be rendered on it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One promise of the store, whether it was kept, and what was seen; if it was not kept, with what to do.

    `kept` is None where it could not be tried, by no fault of the store.
    """

    promise: str
    kept: bool | None
    seen: str

    def __str__(self) -> str:
        return f"{self.promise}: {self.seen}"


def check_store(
    store: ObjectStore,
    other: ObjectStore | None = None,
    racers: int = RACERS,
    keys: int = KEYS,
    *,
    racing: Sequence[ObjectStore] = (),
) -> Iterator[Finding]:
    """Try each promise on the real store, with objects that are deleted afterwards.

    `other` is the same bucket through a client of its own, as another process has it; `racing` are more such, which
    repeat no request by themselves (else who has won may be told of its own object that it exists), instead of those
    two. `StoreDown` only if the very first write fails; from then on what is not answered is a finding, and hides no
    other.
    """
    trial = _Trial(store, other or store, racing or (store, other or store), racers, keys)
    try:
        yield from trial()
    finally:
        trial.clear()


def require_kept(findings: Iterator[Finding], report: Callable[[str], None]) -> None:
    """Tell `report` a sentence for each promise that was not kept; `StoreBroken` if there are any."""
    amiss = [finding for finding in findings if not finding.kept]
    for finding in amiss:
        report(str(finding))
    if amiss:
        broken = sum(finding.kept is False for finding in amiss)
        what = f"object storage broke {broken} of its promises" if broken else "object storage could not be checked"
        raise StoreBroken(f"{what}; `darkroom check-store` tries again")


class _BrokenError(Exception):
    """What was seen instead of a promise that was kept."""


class _Trial:
    """One run of all checks, with the keys that it has used."""

    def __init__(
        self, store: ObjectStore, other: ObjectStore, racing: Sequence[ObjectStore], racers: int, keys: int
    ) -> None:
        self._store = store
        self._other = other
        self._racing = racing
        self._racers = racers
        self._keys = keys
        self._prefix = f"{PREFIX}{uuid.uuid4().hex}/"
        self._used: list[str] = []

    def __call__(self) -> Iterator[Finding]:
        first = self._key("first")
        self._store.write(first, b"")
        began, before = time.monotonic(), None
        with suppress(StoreDown):
            before = self._store.read(first)
        simultaneous = f"of {self._racers} simultaneous creates exactly one wins"
        yield self._found("a missing key reads as missing", _ANOTHER, self._missing)
        yield self._found("a second create of the same key is refused", _ANOTHER, self._create_if_absent)
        yield self._found(simultaneous, _ANOTHER, self._races)
        yield self._found("every client reads what was written last", _CACHE, self._read_after_write)
        yield self._found("the store's clock runs and dates fresh objects", _CLOCK, lambda: self._clock(before, began))
        yield self._found("a deleted object is gone", _DELETE, self._delete)

    def clear(self) -> None:
        """Delete what was written; what a store does not delete is a finding already."""
        for name in self._used:
            with suppress(StoreDown):
                self._store.delete(name)

    def _key(self, name: str) -> str:
        self._used.append(self._prefix + name)
        return self._used[-1]

    @staticmethod
    def _found(promise: str, remedy: str, check: Callable[[], str]) -> Finding:
        try:
            return Finding(promise, kept=True, seen=check())
        except _BrokenError as broken:
            return Finding(promise, kept=False, seen=f"{broken}; {remedy}")
        except NotStartedError as error:
            return Finding(promise, kept=None, seen=f"{error}; {_THREADS}")
        except AccessDenied as denied:
            return Finding(promise, kept=False, seen=str(denied))
        except StoreDown as error:
            return Finding(promise, kept=False, seen=f"{error}; try again, and if that stays: {remedy}")

    def _missing(self) -> str:
        for store in (self._store, self._other):
            if store.read(f"{self._prefix}missing") is not None:
                raise _BrokenError("something was read where nothing is")
        return "nothing was read"

    def _create_if_absent(self) -> str:
        name = self._key("twice")
        if not self._created(name, b"first"):
            raise _BrokenError("the first create was refused, too")
        won = [store.create(name, b"again") for store in (self._other, self._store)]
        stored = self._store.read(name)
        if stored and stored.body == b"again":
            raise _BrokenError("it overwrote what the first had created")
        if any(won):
            raise _BrokenError("it was answered like the first, which had won")
        return "it was refused"

    def _created(self, name: str, body: bytes) -> bool:
        """Whether `body`, which nothing else sends, was created."""
        if self._store.create(name, body):
            return True
        # The first answer may have been lost, and the client has met its own object.
        stored = self._store.read(name)
        return stored is not None and stored.body == body

    def _races(self) -> str:
        faults: Counter[str] = Counter()
        unanswered: list[StoreDown] = []
        decided = 0
        with ThreadPoolExecutor(self._racers) as pool:
            for n in range(self._keys):
                run = race(self._key(f"race-{n}"), self._racers, self._racing, self._other, pool)
                unanswered += run.unanswered
                decided += run.decided
                if run.fault:
                    faults[run.fault] += 1
        if faults:
            raise _BrokenError(", ".join(f"{count} of {self._keys} keys had {what}" for what, count in faults.items()))
        if not decided:
            raise unanswered[0]
        return f"so it was with {decided} keys" + (
            f", and {len(unanswered)} creates got no answer" if unanswered else ""
        )

    def _read_after_write(self) -> str:
        stale: list[str] = []

        def look(name: str, body: bytes, after: str) -> None:
            for store, reader in ((self._store, "its writer"), (self._other, "another client")):
                stored = store.read(name)
                if stored is None or stored.body != body:
                    stale.append(f"{reader} after {after}")

        for n in range(self._keys):
            name = self._key(f"read-{n}")
            # A cache would keep that nothing is there.
            with suppress(AccessDenied):
                self._other.read(name)
            self._store.create(name, b"created")
            look(name, b"created", "a create")
            self._store.write(name, b"overwritten")
            look(name, b"overwritten", "an overwrite")
        if stale:
            raise _BrokenError(f"{len(stale)} of {4 * self._keys} reads were stale, such as one by {stale[0]}")
        return f"none of {4 * self._keys} reads was stale"

    def _clock(self, before: Stored | None, began: float) -> str:
        time.sleep(max(0.0, began + TICK - time.monotonic()))
        name = self._key("last")
        self._store.write(name, b"")
        after = self._store.read(name)
        passed = time.monotonic() - began
        if before is None or after is None:
            raise _BrokenError("a fresh object could not be read")
        for what, moved in (("clock", after.now - before.now), ("dates", after.modified - before.modified)):
            if not 1 <= moved.total_seconds() <= passed + SKEW:
                raise _BrokenError(f"in {passed:.0f} s its {what} moved by {moved.total_seconds():.0f} s")
        if abs(after.age) > SKEW:
            raise _BrokenError(f"a fresh object had an age of {after.age:.0f} s")
        return f"a fresh object had an age of {after.age:.0f} s"

    def _delete(self) -> str:
        name = self._key("deleted")
        self._store.write(name, b"old")
        self._store.delete(name)
        # Who may not list the bucket is not told that it is missing.
        with suppress(AccessDenied):
            if self._other.read(name) is not None:
                raise _BrokenError("it could still be read")
        if not self._created(name, b"new"):
            raise _BrokenError("it could not be created again")
        return "it was gone"
