"""The proxy on both real servers: it changes nothing by itself, and each fault does what it says."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Barrier

import pytest

from function.demo.s3server import S3Server
from function.errors import StoreDown
from function.store import S3Store
from tests.faults import (
    Answer,
    Dated,
    Disguise,
    Fault,
    Frozen,
    LookFirst,
    Stale,
    hang_up,
    ignore_condition,
    lose_answer,
    undated,
)
from tests.faults.proxy import FaultProxy
from tests.store.real import s3_store
from tests.stores import new_bucket

RACERS = 4


@dataclass(frozen=True)
class Seen:
    """A bucket by two clients through the proxy, and as it is."""

    proxy: FaultProxy
    store: S3Store
    other: S3Store
    behind: S3Store


@pytest.fixture(scope="module")
def both_proxy(s3_server: S3Server) -> Iterator[FaultProxy]:
    with FaultProxy(s3_server) as proxy:
        yield proxy


@pytest.fixture
def seen(both_proxy: FaultProxy) -> Seen:
    bucket, server = new_bucket(both_proxy.server), both_proxy.server
    clients = [both_proxy.environment | {"AWS_MAX_ATTEMPTS": name} for name in ("1", "2")]
    one, other = (s3_store(environment, bucket) for environment in clients)
    return Seen(both_proxy, one, other, s3_store(server.environment, bucket))


def body(store: S3Store, key: str) -> bytes | None:
    stored = store.read(key)
    return stored.body if stored else None


@pytest.mark.parametrize("name", ["plain", "with space+%é?&#.json", "deep/er/日本"])
def test_it_changes_nothing_by_itself(seen: Seen, name: str) -> None:
    metadata = {"sha256": "0" * 64, "model": "a%20b"}
    assert seen.store.create(name, b"first", "image/png", metadata)
    assert not seen.store.create(name, b"second")
    through, straight = seen.store.read(name), seen.behind.read(name)
    assert through is not None
    assert straight is not None
    assert (through.body, through.etag, through.modified) == (straight.body, straight.etag, straight.modified)
    assert through.metadata == metadata
    assert [listed.key for listed in seen.store.list("")] == [name]
    seen.store.write(name, b"")
    assert body(seen.store, name) == b""
    seen.store.delete(name)
    assert seen.store.read(name) is None


def test_a_lost_answer_was_given(seen: Seen) -> None:
    with seen.proxy.injecting(Fault(lose_answer, "PUT", "a/")), pytest.raises(StoreDown):
        seen.store.write("a/key", b"body")
    assert body(seen.behind, "a/key") == b"body"


def test_what_is_hung_up_on_is_not_heard(seen: Seen) -> None:
    with seen.proxy.injecting(Fault(hang_up, "PUT", "a/")), pytest.raises(StoreDown):
        seen.store.write("a/key", b"body")
    assert body(seen.behind, "a/key") is None


def test_an_ignored_condition_overwrites(seen: Seen) -> None:
    seen.store.write("key", b"first")
    with seen.proxy.injecting(Fault(ignore_condition)):
        assert seen.store.create("key", b"second", "image/png", {"seed": "7"})
    stored = seen.behind.read("key")
    assert stored is not None
    assert (stored.body, stored.metadata) == (b"second", {"seed": "7"})


def test_who_looks_first_is_right_alone_and_wrong_in_company(seen: Seen) -> None:
    start = Barrier(RACERS)

    def race(racer: int) -> bool:
        start.wait()
        return seen.store.create("raced", str(racer).encode())

    with seen.proxy.injecting(Fault(LookFirst())):
        assert seen.store.create("alone", b"first")
        assert not seen.store.create("alone", b"second")
        with ThreadPoolExecutor(RACERS) as pool:
            assert list(pool.map(race, range(RACERS))).count(True) > 1
    assert body(seen.behind, "alone") == b"first"


@pytest.mark.parametrize("elsewhere", [True, False])
def test_stale_reads(seen: Seen, elsewhere: bool) -> None:  # noqa: FBT001  # pytest passes it by name
    with seen.proxy.injecting(Fault(Stale(elsewhere=elsewhere))):
        seen.store.write("key", b"first")
        assert body(seen.other, "key") is None
        assert body(seen.store, "key") == (b"first" if elsewhere else None)
        seen.store.write("key", b"second")
        assert body(seen.other, "key") == b"first"
    assert body(seen.other, "key") == b"second"


def test_clocks(seen: Seen) -> None:
    seen.store.write("key", b"")
    with seen.proxy.injecting(Fault(undated)), pytest.raises(StoreDown, match="no Date header"):
        seen.store.read("key")
    with seen.proxy.injecting(Fault(Dated(3600))):
        ahead = seen.store.read("key")
    with seen.proxy.injecting(Fault(Frozen("Thu, 01 Jan 2026 00:00:00 GMT"))):
        frozen = seen.store.read("key")
    assert ahead is not None
    assert frozen is not None
    assert 3590 < ahead.age < 3660
    assert frozen.now.isoformat() == "2026-01-01T00:00:00+00:00"
    with seen.proxy.injecting(Fault(Frozen("half past ten"))), pytest.raises(StoreDown, match="holds no date"):
        seen.store.read("key")


def test_answers_in_other_words(seen: Seen) -> None:
    seen.store.write("key", b"")
    with seen.proxy.injecting(Fault(Disguise(404, 403, "AccessDenied"))), pytest.raises(StoreDown, match="denies"):
        seen.store.read("missing")
    with seen.proxy.injecting(Fault(Disguise(412, 200))):
        assert seen.store.create("key", b"")
    with seen.proxy.injecting(Fault(Answer(204), "DELETE")):
        seen.store.delete("key")
    assert body(seen.behind, "key") == b""


def test_which_requests(seen: Seen) -> None:
    def refused(keys: list[str]) -> list[str]:
        met = []
        for key in keys:
            try:
                seen.store.write(key, b"")
            except StoreDown:
                met.append(key)
        return met

    no = Answer(400, "InvalidRequest")
    with seen.proxy.injecting(Fault(no, "PUT", "a/", count=2)) as (one,):
        assert refused(["b/1", "a/1", "a/1", "a/2"]) == ["a/1", "a/1"]
        seen.store.read("a/2")
    assert one.hits == 2
    with seen.proxy.injecting(Fault(no, each=1)):
        assert refused(["a/1", "a/1", "a/2", "a/2"]) == ["a/1", "a/2"]
    with seen.proxy.injecting(Fault(no, share=0.3)) as (some,):
        refused([f"c/{n}" for n in range(100)])
    assert 15 <= some.hits <= 45


def test_a_fault_that_meets_nothing_is_no_test(seen: Seen) -> None:
    with pytest.raises(AssertionError, match="met no request"), seen.proxy.injecting(Fault(hang_up, prefix="nowhere/")):
        seen.store.write("key", b"")
