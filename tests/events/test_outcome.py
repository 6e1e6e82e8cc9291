"""Outcomes: their identity, what they carry over from the request, and how large they may become."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from events import IMAGE_COMPLETED, IMAGE_FAILED
from events.envelope import MAX_ATTRIBUTE, encode_json, read, write
from events.outcome import UNRECORDED, Code, File, Image, Outcome, completed, failed
from events.prompt import MAX_FAULTS, Fault, InvalidPrompt, Prompt, canonical, faults_of, validate
from events.prompt.delivery import MOST_FILES
from events.prompt.validation import MAX_PROMPT
from events.request import COPIED, ObjectRef, Request, from_object
from function import layout
from tests.contract.validate import validated
from tests.darkroom import without_urls
from tests.events.values import JSON, TEXT

CODES: tuple[Code, ...] = get_args(Code)
REQUEST = Request("s3://prompts", "one", {"prompt": "a red star"})
MODEL = {"name": "models/shapes", "revision": "0" * 40}
DRAWN_BY: Any = {
    "software": dict.fromkeys(
        ("accelerate", "diffusers", "peft", "pillow", "torch", "transformers", "xformers"), "10.10.10"
    ),
    "device": "NVIDIA RTX PRO 6000 Blackwell Server Edition, bfloat16",
}
LIMIT = 64 << 10
EXPIRY = "2026-11-24T10:00:00+00:00"


def image(index: int = 0, outputs: int = 1, prefix: str = layout.IMAGES) -> Image:
    first, *others = (
        {
            "bucket": "images",
            "key": layout.image(REQUEST.key, index, "png", output, prefix),
            "sha256": "0" * 64,
            "size": 1000,
            "width": 2048,
            "height": 2048,
            "content_type": "image/png",
        }
        for output in range(outputs)
    )
    renditions = {"renditions": [File.model_validate(other) for other in others]} if others else {}
    return Image.model_validate(first | {"seed": 2**64 - 1, "pixels_sha256": "1" * 64} | renditions)


def completion(request: Request = REQUEST, *, images: int = 1, prefix: str = layout.IMAGES, **prompt: Any) -> Outcome:
    filled = {"width": 64, "height": 64, "seed": 0, "scheduler": "EulerDiscreteScheduler"}
    asked = Prompt.model_validate({"prompt": "a red star"} | filled | prompt)
    rendered = asked.model_dump()
    pictures = [image(index, len(asked.outputs), prefix) for index in range(images)]
    # As much as there may be to say of each.
    remarks = [{"seed": 2**64 - 1, "what": "decoded_again"}] * 3 * images
    timings = {"render": 1.23456, "encode": 0.1}
    return completed(request, "/darkroom", pictures, rendered, MODEL, timings, remarks=remarks, **DRAWN_BY)


def failure(request: Request = REQUEST, code: Code = "invalid_prompt", *faults: Fault) -> Outcome:
    return failed(request, "/darkroom", code, "it cannot be drawn", faults)


def test_every_outcome_keeps_to_the_contract() -> None:
    for dropped in (Request("s3://prompts", "one", {}, ObjectRef("prompts", "a.json", etag="e"), 3), REQUEST):
        assert validated(completion(dropped, images=2).with_urls(lambda _key: {"url": "https://images.example/1"}))
        assert validated(dict(failure(dropped, "invalid_prompt", Fault("", "is no prompt")).event))


def test_a_rendered_prompt_says_its_defaults_too() -> None:
    prompt = {"prompt": "a", "width": 64, "height": 64, "seed": 1, "scheduler": "the model's own"}
    event = completed(REQUEST, "/darkroom", [], prompt, MODEL, {}, **DRAWN_BY).event
    assert event["data"]["prompt"] == validate({"prompt": "a"}).model_dump() | prompt


def test_what_the_contract_does_not_promise_is_not_emitted() -> None:
    with pytest.raises(ValidationError, match="extra"):
        completed(REQUEST, "/darkroom", [], {"prompt": "a", "unpromised": 1}, MODEL, {}, **DRAWN_BY)
    with pytest.raises(ValidationError, match="code"):
        failed(REQUEST, "/darkroom", "bad_luck", "it cannot be drawn")  # type: ignore[arg-type]


def test_id_is_derived_from_the_key() -> None:
    # sha256sum of the key, a NUL and "outcome", half of it.
    assert completion().event["id"] == "b488f944671909fe77ea0ebf5fa2e291"
    ids = {failure(code=code).event["id"] for code in CODES if code not in UNRECORDED}
    assert ids == {completion().event["id"]}
    other = Request("s3://prompts", "two", REQUEST.received)
    assert completion(other).event["id"] != completion().event["id"]


def test_what_is_told_beside_the_record_has_an_id_of_its_own() -> None:
    def id_of(code: Code, received: object) -> str:
        return str(failure(Request("s3://prompts", "one", received), code).event["id"])

    assert "prompt_mismatch" in UNRECORDED
    told = [
        (code, received)
        for code in CODES
        if code in UNRECORDED
        for received in ({"prompt": "a"}, {"prompt": "b"}, None)
    ]
    ids = [id_of(code, received) for code, received in told]
    assert ids == [id_of(code, received) for code, received in told]
    assert len({completion().event["id"], *ids}) == 1 + len(told)


def test_completion_says_what_was_made() -> None:
    event = completion().event
    assert event["type"] == IMAGE_COMPLETED
    assert completion().code is None
    assert event["data"]["images"] == [
        {
            "bucket": "images",
            "key": f"images/{REQUEST.key}/0.png",
            "uri": f"s3://images/images/{REQUEST.key}/0.png",
            "sha256": "0" * 64,
            "size": 1000,
            "seed": 2**64 - 1,
            "pixels_sha256": "1" * 64,
            "width": 2048,
            "height": 2048,
            "content_type": "image/png",
        }
    ]
    assert event["data"]["prompt"]["prompt"] == "a red star"
    assert event["data"]["model"] == MODEL
    assert event["data"]["timings"] == {"render": 1.235, "encode": 0.1}
    assert {name: event["data"][name] for name in DRAWN_BY} == DRAWN_BY
    assert event["data"]["key"] == REQUEST.key


@pytest.mark.parametrize("code", CODES)
def test_failure_says_why(code: Code) -> None:
    outcome = failure(REQUEST, code, Fault("width", "must be a multiple of 8"))
    assert (outcome.event["type"], outcome.code) == (IMAGE_FAILED, code)
    assert outcome.event["data"] == {
        "code": code,
        "message": "it cannot be drawn",
        "faults": [{"where": "width", "message": "must be a multiple of 8"}],
        "key": REQUEST.key,
    }
    assert "faults" not in failure().event["data"]


@pytest.mark.parametrize("tell", [completion, failure])
def test_context_of_the_request_is_copied(tell: Any) -> None:
    copied = {name: f"a {name}" for name in COPIED}
    request = Request("/tests", "one", {}, context=copied | {"knativearrivaltime": "now", "subject": "other"})
    event = tell(request).event
    assert {name: event[name] for name in COPIED} == copied
    assert event["causationid"] == "one"
    assert (event["source"], event["subject"]) == ("/darkroom", "one")
    assert "knativearrivaltime" not in event
    assert not set(COPIED) & tell().event.keys()


def test_dropped_file_is_named() -> None:
    ref = ObjectRef("prompts", "in/red.json", "v1", '"e"', 24)
    event = completion(from_object(ref, 7, {})).event
    named = {"bucket": "prompts", "key": "in/red.json", "version": "v1", "etag": "e", "size": 24, "index": 7}
    assert event["data"]["source_object"] == named
    assert event["subject"] == "prompts/in/red.json"
    assert event["causationid"] == ref.prompt_id(7)
    assert "source_object" not in completion().event["data"]


def test_time_is_now() -> None:
    time = datetime.fromisoformat(completion().event["time"])
    assert abs(time - datetime.now(UTC)) < timedelta(minutes=1)


def test_urls_are_added_to_the_images_alone() -> None:
    outcome = completion(images=3)
    before = encode_json(outcome.event)
    told = outcome.with_urls(lambda key: {"url": f"https://images.example/{key}", "url_expires_at": EXPIRY})
    assert encode_json(outcome.event) == before, "the recorded outcome changed"
    for one in told["data"]["images"]:
        assert one.pop("url") == f"https://images.example/{one['key']}"
        assert one.pop("url_expires_at") == EXPIRY
    assert encode_json(told) == before


def test_renditions_have_urls_of_their_own() -> None:
    outcome = completion(images=2, outputs=[{}, {"format": "webp"}, {"max_side": 64}])
    told = validated(outcome.with_urls(lambda key: {"url": f"https://images.example/{key}"}))
    for index, one in enumerate(told["data"]["images"]):
        keys = [rendition["key"] for rendition in one["renditions"]]
        assert keys == [f"images/{REQUEST.key}/{index}-1.png", f"images/{REQUEST.key}/{index}-2.png"]
        urls = [rendition["url"] for rendition in one["renditions"]]
        assert urls == [f"https://images.example/{key}" for key in keys]
    assert without_urls(told) == outcome.event


def test_failure_has_no_urls() -> None:
    def refuse(key: str) -> dict[str, str]:
        raise AssertionError(f"there is no image {key}")

    outcome = failure()
    assert outcome.with_urls(refuse) == outcome.event


# Four bytes each, and two for a sign that JSON escapes.
@pytest.mark.parametrize("sign", ["a", "\u00e9", "\u8d64", "\U0001f31f", '"', "\\", "\n"])
@pytest.mark.parametrize("outputs", [1, 2, 8])
@pytest.mark.parametrize("dropped", [True, False])
def test_largest_completion_fits_into_64_kib(sign: str, outputs: int, *, dropped: bool) -> None:
    context = dict.fromkeys(COPIED, "\U0001f31f" * (MAX_ATTRIBUTE // 4))
    ref = ObjectRef("b" * 63, "\u8d64" * 340 + ".json", "v" * 36, "e" * 35, 1 << 20)
    request = (
        Request(ref.source, ref.prompt_id(99), {}, ref, 99, context)
        if dropped
        else Request("/tests", "\U0001f31f" * (MAX_ATTRIBUTE // 4), {}, context=context)
    )
    most: dict[str, Any] = {
        "prompt": "a",
        "negative_prompt": "",
        "width": 2048,
        "height": 2048,
        "num_inference_steps": 150,
        "guidance_scale": 29.999999999999996,
        "seed": 2**64 - 1,
        "num_images": MOST_FILES // outputs,
        "scheduler": "EulerAncestralDiscreteScheduler",
        "outputs": [{"format": "jpeg", "quality": 100, "max_side": 2048}] * outputs,
        "destination": {"prefix": "a" * 64},
    }
    # As many of the signs as there may be.
    for name, place in product(("prompt", "negative_prompt"), reversed(range(12))):
        longer = most | {name: f"{most[name]}{sign * 2**place}"}
        most = most if faults_of(longer) else longer
    assert len(canonical(validate(most).model_dump())) > MAX_PROMPT - 500 or len(most["negative_prompt"]) > 3900
    outcome = completion(request, images=MOST_FILES // outputs, prefix="a" * 64, **most)
    told = outcome.with_urls(lambda _key: {"url": "u" * 1000, "url_expires_at": EXPIRY})
    headers, body = write(told)
    assert len(body) + sum(map(len, headers.values())) <= LIMIT


@pytest.mark.parametrize("sign", ["\x01", "\U0001f31f", '"'])
def test_largest_failure_fits_into_64_kib(sign: str) -> None:
    context = dict.fromkeys(COPIED, "\U0001f31f" * (MAX_ATTRIBUTE // 4))
    ref = ObjectRef("b" * 63, "\u8d64" * 340 + ".json", "v" * 36, "e" * 35, 1 << 20)
    received = {f"{number:02}{sign * 200}": 1 for number in range(100)}
    with pytest.raises(InvalidPrompt) as invalid:
        validate(received)
    failure = failed(
        Request(ref.source, ref.prompt_id(99), received, ref, 99, context),
        "/darkroom",
        "invalid_prompt",
        str(invalid.value),
        invalid.value.faults,
    )
    assert len(failure.event["data"]["faults"]) == MAX_FAULTS
    headers, body = write(failure.event)
    assert len(body) + sum(map(len, headers.values())) <= LIMIT
    assert read({name.lower(): value for name, value in headers.items()}, body).attributes["partitionkey"]


def test_many_faults_fit_into_64_kib() -> None:
    with pytest.raises(InvalidPrompt) as invalid:
        validate({"\U0001f31f" * 100 + str(n): n for n in range(1000)})
    outcome = failed(REQUEST, "/darkroom", "invalid_prompt", str(invalid.value), invalid.value.faults)
    assert len(encode_json(outcome.event)) <= LIMIT


ANY = TEXT.filter(lambda text: text and "\0" not in text)


@given(st.builds(ObjectRef, ANY, ANY, st.none() | ANY, st.none() | ANY), ANY, ANY, JSON, st.sampled_from(CODES))
def test_outcome_is_an_event_whatever_the_request(
    ref: ObjectRef, id: str, word: str, received: Any, code: Code
) -> None:
    for request in (Request("/tests", id, received, context={"correlationid": word}), from_object(ref, 3, received)):
        for outcome in (completion(request), failure(request, code, Fault(word, word))):
            headers, body = write(outcome.event)
            message = read({name.lower(): value for name, value in headers.items()}, body)
            assert json.dumps(message.data) == json.dumps(outcome.event["data"])
            assert message.attributes["causationid"] == request.id
