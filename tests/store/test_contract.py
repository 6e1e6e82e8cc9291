"""The store's contract: the same for the fake and for the S3 adapter on every real server."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import urllib3

from function.demo.s3server import S3Server
from function.store import ObjectStore, Stored
from tests.store.real import s3_store
from tests.stores import new_bucket

RACERS = 16
HARD_KEYS = [
    "with space.json",
    "a+b.json",
    "100%25 %2F.json",
    "é/ü/日本.json",
    "deep/er/and/deeper.json",
    "two\nlines.json",
    "q?x=1&y=#z.json",
    "dots...and 'quotes\".json",
]


def there(store: ObjectStore, key: str, version: str | None = None, limit: int | None = None) -> Stored:
    """The object, which must be there."""
    stored = store.read(key, version, limit)
    assert stored is not None, f"{key!r} is not there"
    return stored


def test_create_if_absent(store: ObjectStore, folder: str) -> None:
    key = f"{folder}object"
    assert store.create(key, b"first")
    assert not store.create(key, b"second")
    assert there(store, key).body == b"first"


def test_create_after_delete(store: ObjectStore, folder: str) -> None:
    key = f"{folder}object"
    store.write(key, b"old")
    store.delete(key)
    assert store.create(key, b"new")
    assert there(store, key).body == b"new"


def test_of_simultaneous_creates_one_wins(store: ObjectStore, folder: str) -> None:
    def race(racer: int, key: str, start: threading.Barrier) -> bool:
        start.wait(60)
        return store.create(key, f"racer {racer}".encode())

    keys = [f"{folder}{n}" for n in range(5)]
    with ThreadPoolExecutor(RACERS * len(keys)) as pool:
        races = []
        for key in keys:
            start = threading.Barrier(RACERS)
            races.append([pool.submit(race, racer, key, start) for racer in range(RACERS)])
    for key, racing in zip(keys, races, strict=True):
        winners = [racer for racer, future in enumerate(racing) if future.result()]
        assert len(winners) == 1
        assert there(store, key).body == f"racer {winners[0]}".encode()


def test_write_overwrites(store: ObjectStore, folder: str) -> None:
    key = f"{folder}object"
    store.write(key, b"first")
    before = there(store, key)
    store.write(key, b"second")
    after = there(store, key)
    assert (before.body, after.body) == (b"first", b"second")
    assert before.etag != after.etag
    assert before.modified <= after.modified


def test_missing_reads_as_none(store: ObjectStore, folder: str) -> None:
    assert store.read(f"{folder}missing") is None
    assert store.read(f"{folder}missing", limit=0) is None


@pytest.mark.parametrize("name", ["a//b", "x" * 256 + "/y", "a/" + "y" * 1000, "a\\b"])
def test_what_no_object_can_be_called_reads_as_none(store: ObjectStore, folder: str, name: str) -> None:
    assert store.read(folder + name) is None


def test_a_version_that_never_was_is_no_trouble(versioned: ObjectStore, folder: str) -> None:
    versioned.write(f"{folder}object", b"body")
    # SeaweedFS takes it for the current one.
    found = versioned.read(f"{folder}object", "nonsense")
    assert found is None or found.body == b"body"


def test_read_limit(store: ObjectStore, folder: str) -> None:
    key = f"{folder}object"
    store.write(key, b"0123456789")
    assert [there(store, key, limit=limit).body for limit in (0, 4, 10, 11, None)] == [
        b"",
        b"0123",
        b"0123456789",
        b"0123456789",
        b"0123456789",
    ]


def test_an_empty_object_is_there(store: ObjectStore, folder: str) -> None:
    key = f"{folder}empty"
    store.write(key, b"")
    assert there(store, key).body == b""
    assert not store.create(key, b"more")


def test_metadata_comes_back(store: ObjectStore, folder: str) -> None:
    key = f"{folder}object"
    metadata = {"sha256": "0" * 64, "prompt-hash": "f" * 64, "seed": str(2**64 - 1), "model": "a%20b/c+d"}
    assert store.create(key, b"picture", "image/png", metadata)
    assert there(store, key, limit=0).metadata == metadata
    assert not store.create(key, b"other", "image/png", {"seed": "1"})
    assert there(store, key).metadata == metadata


def test_without_metadata(store: ObjectStore, folder: str) -> None:
    store.write(f"{folder}object", b"{}")
    assert there(store, f"{folder}object").metadata == {}


def test_no_versions(store: ObjectStore, folder: str) -> None:
    store.write(f"{folder}object", b"1")
    assert there(store, f"{folder}object").version in (None, "null")


def test_versions(versioned: ObjectStore, folder: str) -> None:
    key = f"{folder}object"
    versioned.write(key, b"first")
    first = there(versioned, key)
    versioned.write(key, b"second")
    second = there(versioned, key)
    assert first.version
    assert second.version
    assert first.version != second.version
    assert there(versioned, key, first.version).body == b"first"
    assert there(versioned, key, second.version).body == b"second"
    versioned.delete(key)
    assert versioned.read(key) is None
    assert there(versioned, key, first.version).body == b"first"


def test_create_if_absent_with_versions(versioned: ObjectStore, folder: str) -> None:
    key = f"{folder}object"
    assert versioned.create(key, b"first")
    assert not versioned.create(key, b"second")
    versioned.delete(key)
    assert versioned.create(key, b"third")
    assert there(versioned, key).body == b"third"


@pytest.mark.parametrize("name", HARD_KEYS)
def test_hard_keys(store: ObjectStore, folder: str, name: str) -> None:
    key = folder + name
    assert store.create(key, name.encode())
    assert not store.create(key, b"other")
    assert there(store, key).body == name.encode()
    assert [listed.key for listed in store.list(folder)] == [key]
    store.delete(key)
    assert store.read(key) is None
    assert list(store.list(folder)) == []


def test_list(store: ObjectStore, folder: str) -> None:
    # No key is another's folder: MinIO does not list what lies below an object.
    inside = [f"{folder}in/{name}" for name in ("a-b", "a.b", "a/b", "a/c/d", "B", "z", "é")]
    for key in [*inside, f"{folder}in-no", f"{folder}other"]:
        store.write(key, key.encode())
    listed = sorted(store.list(f"{folder}in/"), key=lambda row: row.key)
    assert [row.key for row in listed] == sorted(inside)
    for row in listed:
        stored = there(store, row.key)
        assert (row.etag, row.size) == (stored.etag, len(row.key.encode()))
        assert abs((row.modified - stored.modified).total_seconds()) <= 1
    assert sorted(row.key for row in store.list(f"{folder}in/a/")) == [f"{folder}in/a/b", f"{folder}in/a/c/d"]
    assert list(store.list(f"{folder}nothing/")) == []


# MinIO syncs each object to the disk, and a thousand of them take a minute.
@pytest.mark.parametrize("store", ["memory", "seaweedfs"], indirect=True)
def test_list_of_more_than_a_page(store: ObjectStore, folder: str) -> None:
    keys = [f"{folder}{n:04}" for n in range(1005)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: store.write(key, b"."), keys))
    assert sorted(row.key for row in store.list(folder)) == keys


def test_delete(store: ObjectStore, folder: str) -> None:
    store.write(f"{folder}one", b"1")
    store.write(f"{folder}two", b"2")
    store.delete(f"{folder}one")
    store.delete(f"{folder}one")
    assert store.read(f"{folder}one") is None
    assert there(store, f"{folder}two").body == b"2"


def test_age_by_the_stores_clock(store: ObjectStore, folder: str) -> None:
    key = f"{folder}object"
    store.write(key, b"now")
    assert -2 <= there(store, key).age <= 10


@pytest.mark.parametrize("name", ["plain.png", "with space+%é.png"])
def test_presigned_url(s3_server: S3Server, folder: str, name: str) -> None:
    store = s3_store(s3_server.environment, new_bucket(s3_server))
    store.create(folder + name, b"picture", "image/png")
    url, seconds = store.presigned_url(folder + name, 600)
    assert seconds == 600
    answer = urllib3.request("GET", url, retries=False)
    assert (answer.status, answer.data, answer.headers["content-type"]) == (200, b"picture", "image/png")
    signature = url.rpartition("Signature=")[2]
    tampered = url.replace(signature, signature[::-1])
    longer = url.replace("X-Amz-Expires=600", "X-Amz-Expires=6000")
    for wrong in (tampered, longer, url.partition("?")[0]):
        assert wrong != url
        assert urllib3.request("GET", wrong, retries=False).status == 403
