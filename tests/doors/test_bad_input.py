"""Forty kinds of bad events and prompts: the documented answer, one clear sentence, and nothing else in the bucket."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.darkroom import outcome_of
from tests.doors.conftest import Doors

REQUESTED = "dev.darkroom.image.requested"
GOOD = {"prompt": "a red star"}
JSON = "application/json"
STRUCTURED = "application/cloudevents+json"


@dataclass(frozen=True)
class Bad:
    """A bad message and its answer; `where` are the faults' places for those that end as a failed outcome."""

    name: str
    body: bytes
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    where: tuple[str, ...] | None = None


def attributes(**more: str | None) -> dict[str, str]:
    """Binary-mode headers of a good event with a new id; None leaves one out."""
    names = {"specversion": "1.0", "id": str(uuid.uuid4()), "source": "/bad", "type": REQUESTED} | more
    return {f"ce-{k}": v for k, v in names.items() if v is not None} | {"content-type": JSON}


def structured(**more: object) -> bytes:
    event = {"specversion": "1.0", "id": str(uuid.uuid4()), "source": "/bad", "type": REQUESTED, "data": GOOD} | more
    return json.dumps({k: v for k, v in event.items() if v is not None}).encode()


def prompt(name: str, received: object, *where: str) -> Bad:
    """A valid event whose prompt is invalid: a failed outcome, answered 200."""
    return Bad(name, json.dumps(received).encode(), 200, attributes(), where)


def event(name: str, status: int, body: bytes = json.dumps(GOOD).encode(), **more: str | None) -> Bad:
    return Bad(name, body, status, attributes(**more))


def notification(**record: object) -> bytes:
    plain = {
        "eventName": "ObjectCreated:Put",
        "eventSource": "aws:s3",
        "s3": {"bucket": {"name": "x"}, "object": {"key": "k"}},
    }
    return json.dumps({"Records": [plain | record]}).encode()


IN_STRUCTURED = {"content-type": STRUCTURED}
NOT_EVENTS = [
    Bad("nothing at all", b"", 400),
    Bad("plain JSON", json.dumps(GOOD).encode(), 400, {"content-type": JSON}),
    Bad("plain text", b"a red star", 400, {"content-type": "text/plain"}),
    Bad("a form", b"prompt=a+red+star", 400, {"content-type": "application/x-www-form-urlencoded"}),
    Bad("a batch", b"[]", 400, {"content-type": "application/cloudevents-batch+json"}),
    event("no id", 400, id=None),
    event("an empty id", 400, id=""),
    event("no source", 400, source=None),
    event("no type", 400, type=None),
    event("no specversion", 400, specversion=None),
    event("an old specversion", 400, specversion="0.3"),
    event("a future specversion", 400, specversion="2.0"),
    event("a bad time", 400, time="yesterday"),
    event("broken JSON", 400, b'{"prompt": "a red'),
    event("JSON cut in a string escape", 400, b'{"prompt": "\\u00"}'),
    event("not UTF-8", 400, b'{"prompt": "\xff"}'),
    event("NaN", 400, b'{"prompt": "a", "guidance_scale": NaN}'),
    event("nested 100,000 deep", 400, b"[" * 100_000 + b"]" * 100_000),
    event("an id of 3,000 characters", 400, id="i" * 3000),
    Bad("structured, empty", b"", 400, IN_STRUCTURED),
    Bad("structured, broken", b'{"specversion": "1.0"', 400, IN_STRUCTURED),
    Bad("structured, a list", b"[1]", 400, IN_STRUCTURED),
    Bad("structured, no id", structured(id=None), 400, IN_STRUCTURED),
    Bad("structured, a number as id", structured(id=7), 400, IN_STRUCTURED),
    Bad("structured, no specversion", structured(specversion=None), 400, IN_STRUCTURED),
]
NOTHING_TO_DO = [
    event("an unknown type", 204, type="boson.fn"),
    Bad("a picture of an unknown type", b"\x89PNG", 204, attributes(type="x") | {"content-type": "image/png"}),
    event("our own completion", 204, type="dev.darkroom.image.completed"),
    event("an S3 test event", 204, b'{"Event": "s3:TestEvent"}', type="com.amazonaws.s3.TestEvent"),
    event("a removal", 204, notification(eventName="ObjectRemoved:Delete"), type="com.amazonaws.s3.ObjectRemoved"),
    event("changed tags", 204, notification(eventName="ObjectCreated:PutTagging"), type="com.amazonaws.s3"),
    event("a bucket that is not listed", 204, notification(), type="com.amazonaws.s3.ObjectCreated:Put"),
    event("a notification without a key", 204, notification(s3={"bucket": {}}), type="com.amazonaws.s3"),
]
INVALID_PROMPTS = [
    prompt("no prompt", {}, "prompt"),
    prompt("an empty prompt", {"prompt": ""}, "prompt"),
    prompt("a blank prompt", {"prompt": " \n"}, "prompt"),
    prompt("a prompt that is a number", {"prompt": 7}, "prompt"),
    prompt("a prompt of 4,001 characters", {"prompt": "a" * 4001}, "prompt"),
    prompt("a list of prompts", [GOOD], ""),
    prompt("a bare string", "a red star", ""),
    prompt("null", None, ""),
    Bad("data that is plain text", b"a red star", 200, attributes() | {"content-type": "text/plain"}, ("",)),
    prompt("an unknown field", GOOD | {"promt": "a"}, "promt"),
    prompt("a width of 100", GOOD | {"width": 100}, "width"),
    prompt("a height of 4,096", GOOD | {"height": 4096}, "height"),
    prompt("steps as text", GOOD | {"num_inference_steps": "20"}, "num_inference_steps"),
    prompt("no steps", GOOD | {"num_inference_steps": 0}, "num_inference_steps"),
    prompt("a negative seed", GOOD | {"seed": -1}, "seed"),
    prompt("a seed of 65 bits", GOOD | {"seed": 2**64}, "seed"),
    prompt("a fractional seed", GOOD | {"seed": 1.5}, "seed"),
    prompt("17 pictures", GOOD | {"num_images": 17}, "num_images"),
    prompt("an unknown scheduler", GOOD | {"scheduler": "Eular"}, "scheduler"),
    prompt("a lone surrogate", {"prompt": "\ud800"}, "prompt"),
    prompt(
        "seven faults at once",
        {"width": 7, "height": 7, "seed": -1, "num_images": 0, "guidance_scale": 99, "x": 1},
        *("prompt", "width", "height", "seed", "num_images", "guidance_scale", "x"),
    ),
]


def post(doors: Doors, bad: Bad) -> Any:
    return doors.process.post("/", bad.body, bad.headers)


@pytest.mark.parametrize("bad", NOT_EVENTS, ids=lambda bad: bad.name)
def test_what_is_no_event_is_refused(doors: Doors, bad: Bad) -> None:
    before = doors.keys()
    answer = post(doors, bad)
    assert answer.status == bad.status
    assert answer.data == b"not a CloudEvent 1.0 with JSON data\n", "one sentence, and nothing is echoed"
    assert doors.keys() == before


def test_a_body_over_1_mib_is_refused(doors: Doors) -> None:
    before = doors.keys()
    answer = doors.process.post("/", json.dumps({"prompt": "a" * (1 << 20)}).encode(), attributes())
    assert answer.status == 413
    # The server's own fixed text: it refuses before the application is asked.
    assert answer.data.startswith(b"Request Entity Too Large")
    assert b"aaa" not in answer.data
    assert doors.keys() == before


@pytest.mark.parametrize("bad", NOTHING_TO_DO, ids=lambda bad: bad.name)
def test_what_asks_for_nothing_is_accepted_in_silence(doors: Doors, bad: Bad) -> None:
    before = doors.keys()
    answer = post(doors, bad)
    assert (answer.status, answer.data) == (204, b"")
    assert doors.keys() == before


@pytest.mark.parametrize("bad", INVALID_PROMPTS, ids=lambda bad: bad.name)
def test_an_invalid_prompt_fails_with_all_its_faults(doors: Doors, bad: Bad) -> None:
    assert bad.where is not None
    before = set(doors.keys())
    renders = doors.process.metric("darkroom_renders_total")
    outcome = outcome_of(post(doors, bad))
    assert outcome["type"] == "dev.darkroom.image.failed"
    assert outcome["data"]["code"] == "invalid_prompt"
    assert sorted(fault["where"] for fault in outcome["data"]["faults"]) == sorted(bad.where)
    assert all(fault["message"] and "\n" not in fault["message"] for fault in outcome["data"]["faults"])
    assert set(doors.keys()) - before == {f"records/{outcome['data']['key']}.json"}
    assert outcome_of(post(doors, bad)) == outcome, "a redelivery tells the same"
    assert doors.process.metric("darkroom_renders_total") == renders


def test_another_prompt_under_the_same_key_is_told_and_not_recorded(doors: Doors) -> None:
    id_ = str(uuid.uuid4())
    first = outcome_of(doors.process.event(GOOD | {"num_inference_steps": 2}, id=id_))
    recorded = doors.keys()
    other = outcome_of(doors.process.event({"prompt": "a blue ring"}, id=id_))
    assert other["data"]["code"] == "prompt_mismatch"
    assert other["id"] != first["id"]
    assert doors.keys() == recorded
    assert outcome_of(doors.process.event(GOOD | {"num_inference_steps": 2}, id=id_))["id"] == first["id"]


def test_a_get_and_an_unknown_path_answer_without_a_body(doors: Doors) -> None:
    for method, path, status in (("GET", "/", 405), ("POST", "/nowhere", 404), ("POST", "/drop", 404)):
        answer = doors.process.http.request(method, doors.process.url + path)
        assert (answer.status, answer.data) == (status, b"")


def test_there_are_forty_kinds() -> None:
    assert len(NOT_EVENTS) + len(NOTHING_TO_DO) + len(INVALID_PROMPTS) >= 40
