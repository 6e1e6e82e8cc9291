"""What intake publishes: the same events by every route, true to the contract, and read back as they were meant."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from events import IMAGE_REQUESTED, PROMPTS_DROPPED
from events.asking import Batch, dropped, requested
from events.dialects import Dropped, Prompted
from events.dialects import read as read_dialect
from events.envelope import FORBIDDEN, MAX_ATTRIBUTE, Message, encode_json, read, write
from events.outcome import failed
from events.request import COPIED, ObjectRef, Request, from_object
from tests.contract.validate import LIMIT, validated
from tests.events.values import TEXT

REF = ObjectRef("prompts", "in/red +%41.json", "v1", '"e"', 24)
CONTEXT = {name: f"a {name}" for name in COPIED}


def message(event: dict[str, Any]) -> Message:
    """The event as its receiver reads it."""
    headers, body = write(event)
    return read({name.lower(): value for name, value in headers.items()}, body)


def test_a_drop_names_its_object() -> None:
    event = validated(dropped(REF))
    assert event["type"] == PROMPTS_DROPPED
    assert (event["source"], event["id"]) == ("s3://prompts", REF.file_id)
    assert event["subject"] == "prompts/in/red +%41.json"
    assert event["data"] == {"object": REF.as_data()}
    assert not set(COPIED) & event.keys()


def test_a_drop_of_unknown_content_is_new_each_time() -> None:
    unknown = ObjectRef("prompts", "a.json")
    first, second = dropped(unknown), dropped(unknown)
    assert validated(first)["id"] != validated(second)["id"]
    assert dropped(REF)["id"] == dropped(REF)["id"]


def test_a_request_carries_its_prompt_as_it_was_received() -> None:
    # 5 and 5.0 are equal to Python, but not to the hash that tells prompts under one key apart.
    received = {"prompt": "a red star", "guidance_scale": 5, "seed": None}
    event = validated(requested(from_object(REF, 2, received), Batch("a-batch", 3)))
    assert event["type"] == IMAGE_REQUESTED
    assert (event["source"], event["id"]) == (REF.source, REF.prompt_id(2))
    assert event["subject"] == "prompts/in/red +%41.json"
    assert (event["batchid"], event["batchindex"], event["batchsize"]) == ("a-batch", 2, 3)
    assert json.dumps(event["data"]) == json.dumps(received | {"object": REF.as_data()})


def test_a_request_without_a_file_names_none() -> None:
    request = Request("/tests", "one", {"prompt": "a red star"})
    event = validated(requested(request, Batch(request.key, 1)))
    assert event["data"] == request.received
    assert (event["subject"], event["batchindex"]) == ("one", 0)


def test_requests_are_spread_by_key_unless_they_say_how() -> None:
    request = Request("/tests", "one", {"prompt": "a"})
    assert requested(request, Batch("b", 1))["partitionkey"] == request.key
    named = Request("/tests", "one", {"prompt": "a"}, context={"partitionkey": "cats"})
    assert requested(named, Batch("b", 1))["partitionkey"] == "cats"


def test_context_goes_on() -> None:
    request = Request("/tests", "one", {"prompt": "a"}, context=CONTEXT | {"knativearrivaltime": "now"})
    for event in (dropped(REF, CONTEXT | {"subject": "other"}), requested(request, Batch("b", 1))):
        assert {name: validated(event)[name] for name in COPIED} == CONTEXT
        assert "knativearrivaltime" not in event
        assert event["subject"] != "other"


def test_expiry_goes_on_to_what_is_asked_and_not_to_what_becomes_of_it() -> None:
    context = {"expirytime": "2026-11-24T10:00:00Z"}
    request = Request("/tests", "one", {"prompt": "a"}, context=context)
    for event in (dropped(REF, context), requested(request)):
        assert validated(event)["expirytime"] == context["expirytime"]
    assert "expirytime" not in validated(dict(failed(request, "/darkroom", "expired", "too late").event))


def test_a_retry_says_which_it_is_and_is_of_no_batch() -> None:
    request = from_object(REF, 2, {"prompt": "a"}).retried(3)
    event = validated(requested(request))
    assert (event["retry"], event["batchindex"], event["id"]) == (3, 2, request.id)
    assert not {"batchid", "batchsize"} & event.keys()
    assert read_dialect(message(event)) == Prompted(replace(request, context={"partitionkey": request.key}))
    assert "retry" not in requested(from_object(REF, 2, {"prompt": "a"}))


@pytest.mark.parametrize("received", [{"prompt": ""}, {"prompt": "a", "hue": 7}, ["a"], None])
def test_what_cannot_be_drawn_is_not_asked_for(received: object) -> None:
    with pytest.raises(ValidationError):
        requested(Request("/tests", "one", received), Batch("b", 1))


def test_the_largest_request_fits_into_64_kib() -> None:
    ref = ObjectRef("b" * 63, "\u8d64" * 340 + ".json", "v" * 36, "e" * 35, 1 << 20)
    context = dict.fromkeys(COPIED, "\U0001f31f" * (MAX_ATTRIBUTE // 4))
    prompt = {"prompt": "\U0001f31f" * 4000, "negative_prompt": "\U0001f31f" * 4000, "seed": 2**64 - 1}
    request = Request(ref.source, ref.prompt_id(9999), prompt, ref, 9999, context)
    assert len(encode_json(requested(request, Batch(ref.file_key, 10_000)))) <= LIMIT


NAMED = TEXT.filter(lambda text: text and "\0" not in text)
LEGIBLE = NAMED.filter(lambda text: not FORBIDDEN.search(text))
BUCKETS = st.from_regex(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", fullmatch=True)
REFS = st.builds(ObjectRef, BUCKETS, NAMED, st.none() | NAMED, st.none() | NAMED, st.none() | st.integers(min_value=0))


@given(REFS, st.integers(0, 9999), LEGIBLE)
def test_whatever_the_object_is_called_both_are_read_back(ref: ObjectRef, index: int, word: str) -> None:
    context = {"correlationid": word}
    found = read_dialect(message(validated(dropped(ref, context))))
    assert found == Dropped((ref,))
    assert not FORBIDDEN.search(dropped(ref)["subject"])
    request = Request(ref.source, ref.prompt_id(index), {"prompt": "a"}, ref, index, context)
    event = validated(requested(request, Batch(ref.file_key, index + 1)))
    read_back = read_dialect(message(event))
    assert isinstance(read_back, Prompted)
    assert (read_back.request.key, read_back.request.context["correlationid"]) == (request.key, word)
    if ref.identified:
        assert read_back.request.prompt_hash == request.prompt_hash
        assert (read_back.request.object, read_back.request.index) == (ref, index)
