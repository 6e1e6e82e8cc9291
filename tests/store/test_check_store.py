"""`check_store`: real stores keep every promise, and each promise has a liar that is told by it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from function.check_store import PREFIX, check_store
from function.errors import StoreDown
from function.layout import CLAIMS
from function.store import JSON, ObjectStore, Stored
from tests.fakes import MemoryStore

RACERS, KEYS = 6, 3


class IgnoresTheCondition(MemoryStore):
    """Takes If-None-Match for a header that it need not know."""

    def create(
        self, key: str, body: bytes, content_type: str = JSON, metadata: Mapping[str, str] | None = None
    ) -> bool:
        del metadata
        self.write(key, body, content_type)
        return True


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


LIARS: list[tuple[type[MemoryStore], set[str]]] = [
    (IgnoresTheCondition, {"a second create of the same key is refused", f"of {RACERS} simultaneous creates"}),
    (LooksFirst, {f"of {RACERS} simultaneous creates"}),
    (LosersOverwrite, {"a second create of the same key is refused", f"of {RACERS} simultaneous creates"}),
    (EveryoneWins, {f"of {RACERS} simultaneous creates"}),
    (ReadsStale, {"a read returns the last write"}),
    (ReadsWhatIsMissing, {"a missing key reads as missing"}),
    (ClockApart, {"the store's clock dates a fresh object"}),
    (ClockAhead, {"the store's clock dates a fresh object"}),
]


def test_a_real_store_keeps_every_promise(store: ObjectStore) -> None:
    findings = list(check_store(store, RACERS, KEYS))
    assert [finding for finding in findings if not finding.kept] == []
    assert len(findings) == 5
    assert list(store.list("")) == []


@pytest.mark.parametrize(("liar", "broken"), LIARS, ids=[liar.__name__ for liar, _ in LIARS])
def test_a_liar_is_told(liar: type[MemoryStore], broken: set[str]) -> None:
    store = liar()
    told = [finding.promise for finding in check_store(store, RACERS, KEYS) if not finding.kept]
    assert len(told) == len(broken)
    for promise in broken:
        assert any(line.startswith(promise) for line in told), told
    assert list(store.list("")) == []


def test_what_was_seen_is_told() -> None:
    seen = {finding.promise: finding.seen for finding in check_store(IgnoresTheCondition(), RACERS, KEYS)}
    assert seen["a second create of the same key is refused"] == "created True, then True"
    assert seen[f"of {RACERS} simultaneous creates exactly one wins"] == f"{KEYS} of {KEYS} keys had another winner"
    seen = {finding.promise: finding.seen for finding in check_store(ClockAhead(), RACERS, KEYS)}
    assert seen["the store's clock dates a fresh object within 5 s"] == "an age of 3600 s"


def test_nothing_is_left_when_it_is_cut_off() -> None:
    store = MemoryStore()
    store.write("mine", b"stays")
    checking = check_store(store, RACERS, KEYS)
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
        list(check_store(store, RACERS, KEYS))
