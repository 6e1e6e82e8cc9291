"""Whether a store keeps the one promise that the ledger stands on."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from function.store import ObjectStore

RACERS: Final = 32
KEYS: Final = 20
PREFIX: Final = "claims/check-store-"


@dataclass(frozen=True, slots=True)
class Finding:
    """One promise of the store, whether it was kept, and what was seen."""

    promise: str
    kept: bool
    seen: str


def check_store(store: ObjectStore, racers: int = RACERS, keys: int = KEYS) -> Iterator[Finding]:
    """Try each promise on the real store, with objects that are deleted afterwards."""
    run = f"{PREFIX}{uuid.uuid4().hex}/"
    try:
        yield _create_if_absent(store, run)
        yield _read_after_write(store, run, keys)
        yield _missing(store, run)
        yield _clock(store, run)
        yield _races(store, run, racers, keys)
    finally:
        for listed in list(store.list(run)):
            store.delete(listed.key)


def _create_if_absent(store: ObjectStore, run: str) -> Finding:
    name = f"{run}twice"
    first, second = store.create(name, b"first"), store.create(name, b"second")
    stored = store.read(name)
    body = stored.body if stored else None
    kept = (first, second, body) == (True, False, b"first")
    return Finding("a second create of the same key is refused", kept, f"created {first}, then {second}")


def _read_after_write(store: ObjectStore, run: str, keys: int) -> Finding:
    name = f"{run}overwritten"
    stale = 0
    for n in range(keys):
        store.write(name, str(n).encode())
        stored = store.read(name)
        stale += stored is None or stored.body != str(n).encode()
    return Finding("a read returns the last write", stale == 0, f"{stale} of {keys} reads were stale")


def _missing(store: ObjectStore, run: str) -> Finding:
    stored = store.read(f"{run}missing")
    return Finding("a missing key reads as missing", stored is None, "missing" if stored is None else "something")


def _clock(store: ObjectStore, run: str) -> Finding:
    name = f"{run}clock"
    store.write(name, b"now")
    stored = store.read(name)
    age = stored.age if stored else float("nan")
    return Finding("the store's clock dates a fresh object within 5 s", -5 <= age <= 5, f"an age of {age:g} s")


def _races(store: ObjectStore, run: str, racers: int, keys: int) -> Finding:
    wrong = 0
    with ThreadPoolExecutor(racers) as pool:
        for n in range(keys):
            start = threading.Barrier(racers)
            name = f"{run}race-{n}"

            def race(racer: int, start: threading.Barrier = start, name: str = name) -> bool:
                start.wait()
                return store.create(name, str(racer).encode())

            won = [racer for racer, created in enumerate(pool.map(race, range(racers))) if created]
            stored = store.read(name)
            wrong += len(won) != 1 or stored is None or stored.body != str(won[0]).encode()
    return Finding(
        f"of {racers} simultaneous creates exactly one wins", wrong == 0, f"{wrong} of {keys} keys had another winner"
    )
