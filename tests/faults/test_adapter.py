"""The S3 adapter on a real MinIO that errs: the right error in bounded time, and never a wrong answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest

from function.errors import AccessDenied, StoreDown
from function.store import ObjectStore, S3Store, s3_client
from tests.faults import CONFLICT, Act, Answer, Delay, Disguise, Fault, Stall, hang_up, lose_answer, truncate
from tests.faults.mutants import ReadsShort, TakesConflictForExists
from tests.faults.proxy import FaultProxy
from tests.sizing import sized
from tests.stores import new_bucket

BODY = b"a red star over a quiet sea"
CALLS: dict[str, Callable[[ObjectStore], object]] = {
    "create": lambda store: store.create("new", BODY),
    "write": lambda store: store.write("key", BODY),
    "read": lambda store: store.read("key"),
    "list": lambda store: list(store.list("")),
    "delete": lambda store: store.delete("gone"),
}
EVERY_CALL = pytest.mark.parametrize("call", list(CALLS))


@pytest.fixture(scope="module")
def bucket(proxy: FaultProxy) -> str:
    bucket = new_bucket(proxy.server)
    proxy.server.client.put_object(Bucket=bucket, Key="key", Body=BODY)
    return bucket


@pytest.fixture
def client(proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client of the test's own: what boto3 may repeat is counted for each client."""
    for name, value in proxy.environment.items():
        monkeypatch.setenv(name, value)
    # boto3 keeps the first credentials that it finds for the whole process; here every server has its own.
    boto3.setup_default_session()
    return s3_client(proxy.url)


@pytest.fixture
def store(client: Any, bucket: str) -> Iterator[S3Store]:
    store = S3Store(client, bucket)
    yield store
    store.delete("new")


def conflicts_are_resolved(store: ObjectStore, proxy: FaultProxy) -> None:
    with proxy.injecting(Fault(CONFLICT, count=3, creates=True)):
        assert store.create("new", b"first")
    with proxy.injecting(Fault(CONFLICT, count=3, creates=True)):
        assert not store.create("new", b"second")


def nothing_is_read_short(store: ObjectStore, proxy: FaultProxy) -> None:
    for limit in (None, len(BODY) - 1, len(BODY), 10 * len(BODY)):
        with proxy.injecting(Fault(truncate, "GET", "key")), pytest.raises(StoreDown):
            store.read("key", limit=limit)
        whole = store.read("key", limit=limit)
        assert whole is not None
        assert whole.body == BODY[:limit]


def test_conflicts_are_resolved(store: S3Store, proxy: FaultProxy) -> None:
    conflicts_are_resolved(store, proxy)


def test_conflicts_without_end_are_no_answer(store: S3Store, proxy: FaultProxy) -> None:
    began = time.monotonic()
    with proxy.injecting(Fault(CONFLICT, creates=True)), pytest.raises(StoreDown, match="ConditionalRequestConflict"):
        store.create("new", b"first")
    assert time.monotonic() - began < 2
    assert store.read("new") is None


def test_nothing_is_read_short(store: S3Store, proxy: FaultProxy) -> None:
    nothing_is_read_short(store, proxy)


def test_a_part_that_was_asked_for_is_no_short_answer(store: S3Store, proxy: FaultProxy) -> None:
    with proxy.injecting(Fault(truncate, "GET", "key")):
        part = store.read("key", limit=5)
    assert part is not None
    assert part.body == BODY[:5]


def test_a_listing_that_is_cut_off_is_asked_for_again(store: S3Store, proxy: FaultProxy) -> None:
    with proxy.injecting(Fault(truncate, "GET", count=1)):
        assert [listed.key for listed in store.list("")] == ["key"]


def test_mutants_are_caught(client: Any, bucket: str, proxy: FaultProxy) -> None:
    try:
        with pytest.raises(AssertionError):
            conflicts_are_resolved(TakesConflictForExists(client, bucket), proxy)
        with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
            nothing_is_read_short(ReadsShort(client, bucket), proxy)
    finally:
        S3Store(client, bucket).delete("new")


def test_403_for_what_is_missing_is_no_missing(store: S3Store, proxy: FaultProxy) -> None:
    """S3 tells only those who may list the bucket that a key is missing."""
    with proxy.injecting(Fault(Disguise(404, 403, "AccessDenied"))), pytest.raises(AccessDenied) as error:
        store.read("missing")
    assert str(error.value).endswith(
        "grant s3:GetObject and s3:ListBucket, without which S3 answers so for what is missing"
    )


@EVERY_CALL
def test_denied(store: S3Store, proxy: FaultProxy, call: str) -> None:
    with proxy.injecting(Fault(Answer(403, "AccessDenied"))), pytest.raises(AccessDenied, match="; grant s3:"):
        CALLS[call](store)


@EVERY_CALL
@pytest.mark.parametrize(
    "act",
    [Answer(500, "InternalError"), Answer(503, "SlowDown"), hang_up, Delay(0.2)],
    ids=["500", "SlowDown", "hang up", "slow"],
)
def test_what_passes_is_nobodys_trouble(store: S3Store, proxy: FaultProxy, call: str, act: Act) -> None:
    with proxy.injecting(Fault(act, count=1)):
        CALLS[call](store)


@EVERY_CALL
def test_a_lost_answer_is_repeated(store: S3Store, proxy: FaultProxy, call: str) -> None:
    with proxy.injecting(Fault(lose_answer, count=1)):
        created = CALLS[call](store)
    # The repetition of a create meets its own object, which its caller has to find out.
    assert created is (False if call == "create" else created)


@pytest.mark.chaos
def test_a_silent_store_is_given_up(proxy: FaultProxy, client: Any, bucket: str) -> None:
    """After `attempts` times `patience` and boto3's pauses: with the defaults, within the 47 s of `s3_client`."""
    over = threading.Event()
    client, bound = sized((s3_client(proxy.url, attempts=2, patience=0.5), 2.0), (client, 47.0))

    def seconds(call: Callable[[ObjectStore], object]) -> float:
        began = time.monotonic()
        with pytest.raises(StoreDown, match="does not answer"):
            call(S3Store(client, bucket))
        return time.monotonic() - began

    try:
        with proxy.injecting(Fault(Stall(over))), ThreadPoolExecutor() as pool:
            longest = max(pool.map(seconds, CALLS.values()))
    finally:
        over.set()
    print(f"\na silent store was given up after {longest:.1f} s, of {bound:g} s that may pass")
    assert longest < bound


@pytest.mark.parametrize("act", [hang_up, Answer(500, "InternalError")], ids=["hang up", "500"])
def test_a_store_that_refuses_is_given_up(proxy: FaultProxy, store: S3Store, act: Act) -> None:
    began = time.monotonic()
    with proxy.injecting(Fault(act)), pytest.raises(StoreDown):
        store.read("key")
    assert time.monotonic() - began < 7
