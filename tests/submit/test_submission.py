"""What `darkroom submit` stands on, with a store in memory: a file is put once, a store that is away is waited for."""

from __future__ import annotations

import pytest

from events.envelope import encode_json
from events.outcome import failed
from events.request import ObjectRef, from_object
from function import layout
from function.commands.submission import WINDOW, drop, recorded, results
from function.errors import AccessDenied, StoreDown
from function.ledger import Ledger
from function.store import Stored
from function.telling import PublicUrls
from tests.fakes import MemoryStore

REF = ObjectRef("prompts", "a.txt", etag="0" * 32)
REQUESTS = [from_object(REF, index, {"prompt": f"{index}"}) for index in range(2 * WINDOW + 3)]
URLS = PublicUrls("https://pictures.example")
ASKED = [(request.index, request.key) for request in REQUESTS]
# Seconds: longer than any of these tests may take, and over at once.
LONG, SHORT = 60.0, 0.02


class Read(MemoryStore):
    """A store that counts what is read."""

    reads = 0

    def read(self, key: str, version: str | None = None, limit: int | None = None) -> Stored | None:
        self.reads += 1
        return super().read(key, version, limit)


def outcome(index: int) -> dict[str, object]:
    return dict(failed(REQUESTS[index], "/tests", "out_of_memory", f"number {index}").event)


def test_a_file_that_is_put_again_is_no_new_version_of_it() -> None:
    store = MemoryStore("prompts", versioned=True)
    first, second = (drop(store, "in/a.txt", b"a red star") for _ in range(2))
    assert first.version
    assert first == second


def test_results_are_found_whatever_lies_beside_them() -> None:
    store = MemoryStore()
    for index in (11, 1):
        store.write(layout.result(REF, index), encode_json(outcome(index)))
    store.write(layout.result(ObjectRef("prompts", "a.txt.1", etag="0"), 0), b"{}")
    came = results(store, URLS, REF, 12, timeout=LONG)
    assert sorted((one.index, one.event and one.event["data"]["message"]) for one in (next(came), next(came))) == [
        (1, "number 1"),
        (11, "number 11"),
    ]


def test_where_a_result_has_expired_the_record_tells() -> None:
    store = MemoryStore()
    for index in range(2):
        Ledger(store).commit(REQUESTS[index], failed(REQUESTS[index], "/tests", "out_of_memory", "recorded"))
    store.write(layout.result(REF, 1), encode_json(outcome(1)))
    came = results(store, URLS, REF, 2, timeout=SHORT)
    assert sorted((one.index, one.event and one.event["data"]["message"]) for one in came) == [
        (0, "recorded"),
        (1, "number 1"),
    ]


@pytest.mark.parametrize("drawn", [False, True])
def test_what_was_lacking_is_told_until_there_is_a_record(*, drawn: bool) -> None:
    store = MemoryStore()
    lacking = failed(REQUESTS[0], "/tests", "lacking", "there is no refiner")
    store.write(layout.result(REF, 0), encode_json(dict(lacking.event)))
    if drawn:
        Ledger(store).commit(REQUESTS[0], failed(REQUESTS[0], "/tests", "out_of_memory", "it was there"))
    (came,) = results(store, URLS, REF, 1, timeout=SHORT)
    assert came.event
    assert came.event["data"]["message"] == ("it was there" if drawn else "there is no refiner")


def test_all_that_is_recorded_is_found_once_however_much_it_is() -> None:
    store = MemoryStore()
    ledger = Ledger(store)
    for index in reversed(range(len(REQUESTS))):
        ledger.commit(REQUESTS[index], failed(REQUESTS[index], "/tests", "out_of_memory", f"number {index}"))
    came = list(recorded(store, URLS, ASKED, timeout=LONG))
    assert [one.index for one in came] == list(range(len(REQUESTS)))
    assert [one.event and one.event["data"]["message"] for one in came][-1] == f"number {len(REQUESTS) - 1}"
    assert not any(one.good for one in came)


def test_a_store_that_is_away_for_a_while_is_waited_for() -> None:
    store = MemoryStore()
    store.write(layout.result(REF, 0), encode_json(outcome(0)))
    store.fail_next(1, StoreDown())
    assert [one.index for one in results(store, URLS, REF, 1, timeout=LONG)] == [0]


def test_a_store_that_denies_access_is_not() -> None:
    store = MemoryStore()
    store.fail_next(-1, AccessDenied())
    with pytest.raises(AccessDenied):
        list(results(store, URLS, REF, 1, timeout=LONG))
    with pytest.raises(AccessDenied):
        list(recorded(store, URLS, ASKED, timeout=LONG))


def test_those_that_never_come_hide_no_others() -> None:
    store = Read()
    Ledger(store).commit(REQUESTS[-1], failed(REQUESTS[-1], "/tests", "out_of_memory", "the last"))
    store.reads = 0
    assert next(recorded(store, URLS, ASKED, timeout=SHORT)).index == len(REQUESTS) - 1
    assert store.reads == len(REQUESTS), "the first were looked for again before the last was"


def test_what_has_no_outcome_in_time_is_told_as_that() -> None:
    store = MemoryStore()
    Ledger(store).commit(REQUESTS[-1], failed(REQUESTS[-1], "/tests", "out_of_memory", "the last"))
    there, *missed = recorded(store, URLS, ASKED, timeout=SHORT)
    assert there.event
    assert [(one.index, one.event, one.refusal) for one in missed] == [
        (index, None, f"no outcome within 0.02 s; see the dead letters: darkroom status {key}")
        for index, key in ASKED[:-1]
    ]
    store.write(layout.result(REF, 1), encode_json(outcome(1)))
    there, *missed = results(store, URLS, REF, 3, timeout=SHORT)
    assert there.event
    assert [(one.index, one.refusal) for one in missed] == [
        (index, "no outcome within 0.02 s; see the dead letters: darkroom status s3://prompts/a.txt")
        for index in (0, 2)
    ]


def test_a_store_that_stays_away_is_no_missing_outcome() -> None:
    store = MemoryStore()
    store.fail_next(-1, StoreDown())
    with pytest.raises(StoreDown):
        list(results(store, URLS, REF, 1, timeout=SHORT))
