"""`check_store`: real stores keep every promise, and each promise has a liar that is told by it."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from function.errors import AccessDenied, StoreDown
from function.layout import CLAIMS
from function.store import JSON, ObjectStore, Stored
from function.store.check_store import PREFIX, Finding, StoreBroken, check_store, require_kept
from tests.fakes import Clock, MemoryStore

RACERS, KEYS = 6, 3


class IgnoresTheCondition(MemoryStore):
    """Takes If-None-Match for a header that it need not know."""

    def create(
        self, key: str, body: bytes, content_type: str = JSON, metadata: Mapping[str, str] | None = None
    ) -> bool:
        del metadata
        self.write(key, body, content_type)
        return True


class NobodyWins(MemoryStore):
    """Takes the first comer of a race, too, for one that came too late."""

    def create(
        self, key: str, body: bytes, content_type: str = JSON, metadata: Mapping[str, str] | None = None
    ) -> bool:
        return "race" not in key and super().create(key, body, content_type, metadata)


class AnswersNoRacer(MemoryStore):
    """Is away while there are races."""

    races = "race"

    def create(
        self, key: str, body: bytes, content_type: str = JSON, metadata: Mapping[str, str] | None = None
    ) -> bool:
        if self.races in key:
            raise StoreDown("away")
        return super().create(key, body, content_type, metadata)


class AwayForOneRace(AnswersNoRacer):
    """Keeps every promise, with a short outage."""

    races = "race-0"


class LosesAnswers(MemoryStore):
    """Keeps every promise, and tells no racer that it has won."""

    def create(
        self, key: str, body: bytes, content_type: str = JSON, metadata: Mapping[str, str] | None = None
    ) -> bool:
        created = super().create(key, body, content_type, metadata)
        if created and "race" in key:
            raise StoreDown("away")
        return created


class LosesAnOverwrite(MemoryStore):
    """Has two winners in each race, of whom the second is not told."""

    def create(
        self, key: str, body: bytes, content_type: str = JSON, metadata: Mapping[str, str] | None = None
    ) -> bool:
        created = super().create(key, body, content_type, metadata)
        if "race" in key and not created and body in (b"0", b"1"):
            self.write(key, body, content_type)
            raise StoreDown("away")
        return created


class MeetsItsOwn(MemoryStore):
    """Keeps every promise, through a client that repeats a create of its own whose answer was lost."""

    def create(
        self, key: str, body: bytes, content_type: str = JSON, metadata: Mapping[str, str] | None = None
    ) -> bool:
        created = super().create(key, body, content_type, metadata)
        return created and "race" in key


class LooksFirst(MemoryStore):
    """Looks whether the key is there and then writes, so that of simultaneous creates all win."""

    def __init__(self) -> None:
        super().__init__()
        self._all_have_looked = threading.Barrier(RACERS)

    def create(
        self, key: str, body: bytes, content_type: str = JSON, metadata: Mapping[str, str] | None = None
    ) -> bool:
        if "race" not in key:
            return super().create(key, body, content_type, metadata)
        there = self.read(key) is not None
        self._all_have_looked.wait(30)
        self.write(key, body, content_type)
        return not there


class LosersOverwrite(MemoryStore):
    """Says who lost, and keeps what the loser sent."""

    def create(
        self, key: str, body: bytes, content_type: str = JSON, metadata: Mapping[str, str] | None = None
    ) -> bool:
        created = super().create(key, body, content_type, metadata)
        self.write(key, body, content_type)
        return created


class EveryoneWins(MemoryStore):
    """Keeps what the first racer sent, and tells all that they have won."""

    def create(
        self, key: str, body: bytes, content_type: str = JSON, metadata: Mapping[str, str] | None = None
    ) -> bool:
        if "race" not in key:
            return super().create(key, body, content_type, metadata)
        if body == b"0":
            self.write(key, body, content_type)
        return True


class ReadsStale(MemoryStore):
    """Shows an overwritten object as it was before."""

    def __init__(self) -> None:
        super().__init__()
        self._before: dict[str, Stored | None] = {}

    def write(self, key: str, body: bytes, content_type: str = JSON) -> None:
        self._before[key] = super().read(key)
        super().write(key, body, content_type)

    def read(self, key: str, version: str | None = None, limit: int | None = None) -> Stored | None:
        return self._before.get(key) or super().read(key, version, limit)


class ReadsWhatIsMissing(MemoryStore):
    """Answers for a missing key with an empty object."""

    def read(self, key: str, version: str | None = None, limit: int | None = None) -> Stored | None:
        now = datetime.now(UTC)
        return super().read(key, version, limit) or Stored(b"", "", None, now, now)


class ClockApart(MemoryStore):
    """Dates objects by one clock and answers by another, as two nodes of a store may."""

    apart = timedelta(seconds=-20)

    def read(self, key: str, version: str | None = None, limit: int | None = None) -> Stored | None:
        stored = super().read(key, version, limit)
        return replace(stored, now=stored.now + self.apart) if stored else None


class ClockAhead(ClockApart):
    apart = timedelta(hours=1)


class ClockStandsStill(MemoryStore):
    """Dates everything by the moment of the first object."""

    def __init__(self) -> None:
        super().__init__(clock=Clock())


class DatesStandStill(MemoryStore):
    """Dates objects by the first version of any, and not by when they were written."""

    def read(self, key: str, version: str | None = None, limit: int | None = None) -> Stored | None:
        stored = super().read(key, version, limit)
        return replace(stored, modified=self._first(stored)) if stored else None

    def _first(self, stored: Stored) -> datetime:
        self._dated = getattr(self, "_dated", stored.modified)
        return self._dated


class KeepsDeleted(MemoryStore):
    """Deletes nothing."""

    def delete(self, key: str) -> None:
        del key


class DeniesMissing(MemoryStore):
    """Tells nobody that something is missing, as S3 does who may not list."""

    def read(self, key: str, version: str | None = None, limit: int | None = None) -> Stored | None:
        stored = super().read(key, version, limit)
        if stored is None:
            raise AccessDenied("grant s3:ListBucket")
        return stored


class AwayAfterTheFirst(MemoryStore):
    """Answers one write."""

    def write(self, key: str, body: bytes, content_type: str = JSON) -> None:
        super().write(key, body, content_type)
        self.fail_next(-1, StoreDown("away"))


TWICE, RACE = "a second create of the same key is refused", f"of {RACERS} simultaneous creates exactly one wins"
MISSING, READ = "a missing key reads as missing", "every client reads what was written last"
CLOCK, GONE = "the store's clock runs and dates fresh objects", "a deleted object is gone"
ALL = {TWICE, RACE, MISSING, READ, CLOCK, GONE}

# Each liar, the promises that it breaks, and what is seen of one of them.
LIARS: dict[type[MemoryStore], tuple[set[str], str]] = {
    IgnoresTheCondition: ({TWICE, RACE}, "it overwrote what the first had created"),
    NobodyWins: ({RACE}, f"{KEYS} of {KEYS} keys had no winner"),
    AnswersNoRacer: ({RACE}, "away; try again, and if that stays: "),
    LosesAnOverwrite: ({RACE}, "keys had several winners"),
    LooksFirst: ({RACE}, f"{KEYS} of {KEYS} keys had several winners"),
    LosersOverwrite: ({TWICE, RACE}, f"{KEYS} of {KEYS} keys had what a loser sent"),
    EveryoneWins: ({RACE}, f"{KEYS} of {KEYS} keys had several winners"),
    ReadsStale: ({READ}, f"{2 * KEYS} of {4 * KEYS} reads were stale, such as one by its writer after an overwrite"),
    ReadsWhatIsMissing: ({MISSING, GONE}, "something was read where nothing is"),
    ClockApart: ({CLOCK}, "a fresh object had an age of -20 s"),
    ClockAhead: ({CLOCK}, "a fresh object had an age of 3600 s"),
    ClockStandsStill: ({CLOCK}, "in 2 s its clock moved by 0 s"),
    DatesStandStill: ({CLOCK}, "in 2 s its dates moved by 0 s"),
    KeepsDeleted: ({GONE}, "it could still be read"),
    DeniesMissing: ({MISSING}, "grant s3:ListBucket"),
    AwayAfterTheFirst: (ALL, "away; try again, and if that stays: "),
}
HONEST = (MemoryStore, AwayForOneRace, LosesAnswers, MeetsItsOwn)


@pytest.fixture(scope="module")
def findings() -> Mapping[type[MemoryStore], Sequence[Finding]]:
    """What is found of each store; every check takes two seconds, for the clock."""
    stores = (*LIARS, *HONEST)
    with ThreadPoolExecutor(len(stores)) as pool:
        return dict(
            zip(stores, pool.map(lambda store: list(check_store(store(), None, RACERS, KEYS)), stores), strict=True)
        )


def test_a_real_store_keeps_every_promise(store: ObjectStore) -> None:
    findings = list(check_store(store, store, RACERS, KEYS))
    assert [finding for finding in findings if not finding.kept] == []
    assert {finding.promise for finding in findings} == ALL
    assert list(store.list("")) == []


@pytest.mark.parametrize("liar", LIARS, ids=[liar.__name__ for liar in LIARS])
def test_a_liar_is_told(findings: Mapping[type[MemoryStore], Sequence[Finding]], liar: type[MemoryStore]) -> None:
    promises, seen = LIARS[liar]
    broken = [finding for finding in findings[liar] if not finding.kept]
    assert {finding.promise for finding in broken} == promises
    assert any(seen in finding.seen for finding in broken), broken
    assert len(findings[liar]) == len(ALL), "what is broken hides nothing else"


def test_a_broken_promise_is_a_sentence_with_what_to_do() -> None:
    told: list[str] = []
    with pytest.raises(StoreBroken, match="broke 1 of its promises"):
        require_kept(check_store(KeepsDeleted(), None, RACERS, KEYS), told.append)
    (sentence,) = told
    assert sentence == (
        "a deleted object is gone: it could still be read; "
        f"allow deletion below claims/, and delete by hand what this check left below {PREFIX}"
    )


@pytest.mark.parametrize("honest", HONEST)
def test_kept_promises_let_pass(
    findings: Mapping[type[MemoryStore], Sequence[Finding]], honest: type[MemoryStore]
) -> None:
    require_kept(iter(findings[honest]), pytest.fail)


def test_what_was_not_answered_is_counted(findings: Mapping[type[MemoryStore], Sequence[Finding]]) -> None:
    (seen,) = (one.seen for one in findings[AwayForOneRace] if one.promise == RACE)
    assert seen == f"so it was with {KEYS - 1} keys, and {RACERS} creates got no answer"


def test_no_thread_for_a_racer(monkeypatch: pytest.MonkeyPatch) -> None:
    start, checked = threading.Thread.start, threading.Event()

    def starts(thread: threading.Thread) -> None:
        if thread.name.endswith(f"_{RACERS // 2}"):
            raise RuntimeError("can't start new thread")
        start(thread)

    told: list[str] = []

    def check() -> None:
        with pytest.raises(StoreBroken, match="object storage could not be checked"):
            require_kept(check_store(MemoryStore(), None, RACERS, KEYS), told.append)
        checked.set()

    monkeypatch.setattr(threading.Thread, "start", starts)
    # A daemon, so that a check that waits for ever does not keep the tests.
    threading.Thread(target=check, daemon=True).start()
    assert checked.wait(20), "it waits for a racer that cannot come"
    (sentence,) = told
    assert sentence == (
        f"{RACE}: {RACERS} racers could not be started at once; "
        "give this process more threads (the pod's limit of process ids, or ulimit -u), or race with fewer"
    )


def test_nothing_is_left_when_it_is_cut_off() -> None:
    store = MemoryStore()
    store.write("mine", b"stays")
    checking = check_store(store, None, RACERS, KEYS)
    next(checking)
    assert len(list(store.list(PREFIX))) == 1
    checking.close()  # type: ignore[attr-defined]  # promised as an Iterator, and a generator
    assert [listed.key for listed in store.list("")] == ["mine"]


def test_it_stays_below_what_is_never_a_prompt() -> None:
    assert PREFIX.startswith(CLAIMS)


def test_a_store_that_is_away() -> None:
    store = MemoryStore()
    store.fail_next(-1, StoreDown("away"))
    with pytest.raises(StoreDown, match="away"):
        list(check_store(store, None, RACERS, KEYS))
