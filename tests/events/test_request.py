"""Requests: the key under which everything is kept, and the identity of what was dropped."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.request import ObjectRef, Request, from_object, key_of
from tests.events.values import TEXT

ETAG = "022470dea0b208b5358d6059c4178184"
DROPPED = ObjectRef("prompts", "in/red.json", etag=ETAG, size=24)

# Each digest below was made by sha256sum, with printf '\000' between the parts: a key that changes loses every record
# that was ever written.


def test_key_is_the_documented_formula() -> None:
    assert key_of("s3://prompts", "one") == "51559e6999ac5503ec223de34a7c21d61bf9683a5561dacdfadc316971b7ed43"
    assert key_of("/caf\u00e9", "\ud800") == "64fe49649c802c6e62c18833b7ac1059823bd089cb49a4fb43ee2bd105441d30"
    assert Request("s3://prompts", "one", {}).key == key_of("s3://prompts", "one")


def test_file_is_known_by_object_and_etag() -> None:
    assert DROPPED.source == "s3://prompts"
    assert DROPPED.file_id == "092ca97f9a71b823abdc230c2f1af32acdee39a8e5f4757eb6c86fe0c2be0e9a"
    assert DROPPED.file_key == "d8af517b15d2a3b2c160e0e6297d1793665698c085822f2f1792d15559ff0677"


def test_prompt_of_a_file_is_known_by_its_index_too() -> None:
    request = from_object(DROPPED, 7, {"prompt": "a red star"})
    assert request.id == "18e6db3bbb154ebee5bf4aa39d00f22d0dea0f47d94395af728d03e126191cb6"
    assert request.key == "435bd9aef1de096fc6e6d893f9b6fef751fee85d8e724edf19ea807515495e80"
    assert (request.object, request.index, request.received) == (DROPPED, 7, {"prompt": "a red star"})


def test_retry_has_an_id_of_its_own_and_is_else_the_same_without_its_expiry() -> None:
    context = {"correlationid": "c", "expirytime": "2026-11-24T10:00:00+14:00"}
    request = replace(from_object(DROPPED, 7, {"prompt": "a red star"}), context=context)
    retry = request.retried(1)
    assert retry.id == "3e32c0bcad06905c57d6ecf9529d4fa85a2465d6ef3a8e7fedbc1e3e80d542d0"
    assert retry == replace(request, id=retry.id, retry=1, context={"correlationid": "c"})
    assert request.retried(11).id != retry.id
    assert request.expires == datetime(2026, 11, 23, 20, tzinfo=UTC)
    assert retry.expires is None


def test_version_counts_before_etag() -> None:
    assert (
        replace(DROPPED, version="8f9952b2").prompt_id(7)
        == "46126f20bc9b2e40787991b7825e56b72ea344cc9004874d52584c754c319a47"
    )


def test_what_is_not_identified_has_an_id_all_the_same() -> None:
    assert not ObjectRef("prompts", "in/red.json").identified
    assert (
        ObjectRef("prompts", "in/red.json").prompt_id(0)
        == "4e2c703bc520e33625cf47b5923601c9cf9e95cf3f2af3782e4c73498b37f43c"
    )


@pytest.mark.parametrize("version", [None, "", "null"])
@pytest.mark.parametrize("etag", [ETAG, f'"{ETAG}"'])
def test_no_version_and_quotes_are_written_in_many_ways(version: str | None, etag: str) -> None:
    ref = ObjectRef("prompts", "in/red.json", version, etag, 24)
    assert ref == DROPPED
    assert ref.file_key == DROPPED.file_key
    assert ref.identified


@pytest.mark.parametrize("etag", [None, "", '""'])
def test_no_etag_is_written_in_many_ways(etag: str | None) -> None:
    assert ObjectRef("prompts", "in/red.json", None, etag) == ObjectRef("prompts", "in/red.json")
    assert not ObjectRef("prompts", "in/red.json", "null", etag).identified
    assert ObjectRef("prompts", "in/red.json", "v1", etag).identified


def test_size_makes_no_difference_to_the_key() -> None:
    assert replace(DROPPED, size=None).file_key == DROPPED.file_key


@pytest.mark.parametrize(
    "other",
    [
        replace(DROPPED, bucket="prompts2"),
        replace(DROPPED, key="in/Red.json"),
        replace(DROPPED, key="in/cafe\u0301.json"),
        replace(DROPPED, key="in/caf\u00e9.json"),
        replace(DROPPED, etag=ETAG + "-2"),
        replace(DROPPED, version="v1"),
    ],
)
def test_another_object_has_another_key(other: ObjectRef) -> None:
    keys = {ref.file_key for ref in (DROPPED, other)} | {
        from_object(ref, i, {}).key for ref in (DROPPED, other) for i in (0, 1)
    }
    assert len(keys) == 6


NO_NUL = TEXT.map(lambda text: text.replace("\0", ""))


@given(st.tuples(NO_NUL, NO_NUL), st.tuples(NO_NUL, NO_NUL))
def test_two_events_share_a_key_only_if_they_are_one(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert (key_of(*one) == key_of(*other)) is (one == other)


def test_open_seed_comes_from_the_key_and_has_64_bits() -> None:
    assert Request("s3://prompts", "one", {}).seed == 5860764666479531267
    seeds = [Request("/tests", str(n), {}).seed for n in range(200)]
    assert all(0 <= seed < 2**64 for seed in seeds)
    assert len(set(seeds)) == 200
    assert max(seeds) >= 2**63, "the highest bit is never set"


def test_prompt_hash_is_of_what_was_received() -> None:
    bare, filled = Request("/tests", "one", {"prompt": "a"}), Request("/tests", "one", {"prompt": "a", "num_images": 1})
    assert bare.key == filled.key
    assert bare.prompt_hash != filled.prompt_hash


def test_object_in_events_leaves_out_what_is_unknown() -> None:
    assert ObjectRef("prompts", "in/red.json").as_data() == {"bucket": "prompts", "key": "in/red.json"}
    assert ObjectRef("prompts", "k", "v1", '"e"', 0).as_data() == {
        "bucket": "prompts",
        "key": "k",
        "version": "v1",
        "etag": "e",
        "size": 0,
    }


def test_uri_can_be_read_by_others() -> None:
    assert ObjectRef("prompts", "in/a red+caf\u00e9%41.json").uri == "s3://prompts/in/a%20red%2Bcaf%C3%A9%2541.json"
