"""`POST /` with an S3 notification carried by a CloudEvent: the object's one prompt is rendered."""

from __future__ import annotations

import hashlib
import json
import uuid
from typing import Any
from urllib.parse import quote_plus

import urllib3

from tests.darkroom import outcome_of, without_urls
from tests.doors.conftest import Doors

PROMPT = {"prompt": "a red star on a white background", "num_inference_steps": 2}
TYPE = "com.amazonaws.s3.ObjectCreated:Put"


def drop(doors: Doors, body: bytes, suffix: str = ".json") -> tuple[str, str]:
    """Put a file into the prompt bucket; its key and etag."""
    key = f"in/{uuid.uuid4()}{suffix}"
    return key, doors.server.client.put_object(Bucket=doors.prompts, Key=key, Body=body)["ETag"].strip('"')


def notify(doors: Doors, *keys: str, etag: str = "", bucket: str = "") -> urllib3.BaseHTTPResponse:
    records = [
        {
            "eventSource": "aws:s3",
            "eventName": "ObjectCreated:Put",
            "s3": {"bucket": {"name": bucket or doors.prompts}, "object": {"key": quote_plus(key), "eTag": etag}},
        }
        for key in keys
    ]
    return doors.process.event({"Records": records}, id=str(uuid.uuid4()), type=TYPE)


def result(doors: Doors, key: str) -> dict[str, Any]:
    name = f"results/{doors.prompts}/{key}.0.json"
    event: dict[str, Any] = json.load(doors.server.client.get_object(Bucket=doors.images, Key=name)["Body"])
    return event


def test_the_object_is_read_and_rendered_under_a_key_of_its_own(doors: Doors) -> None:
    key, etag = drop(doors, json.dumps(PROMPT).encode())
    event = outcome_of(notify(doors, key, etag=etag))
    id_ = hashlib.sha256(f"{key}\0{etag}\0".encode() + b"0").hexdigest()
    assert event["data"]["key"] == hashlib.sha256(f"s3://{doors.prompts}\0{id_}".encode()).hexdigest()
    assert event["causationid"] == id_
    assert event["data"]["source_object"] == {
        "bucket": doors.prompts, "key": key, "etag": etag, "size": len(json.dumps(PROMPT)), "index": 0
    }  # fmt: skip
    assert without_urls(result(doors, key)) == without_urls(event)


def test_notifications_of_one_object_by_two_routes_are_one_request(doors: Doors) -> None:
    key, etag = drop(doors, json.dumps(PROMPT).encode())
    first = outcome_of(notify(doors, key, etag=etag))
    dropped = {"object": {"bucket": doors.prompts, "key": key}}
    second = outcome_of(doors.process.event(dropped, id="other", type="dev.darkroom.prompts.dropped"))
    assert without_urls(first) == without_urls(second)


def test_a_bad_file_fails_as_prompt_0_and_is_told_in_results(doors: Doors) -> None:
    for body, suffix, code in (
        (b"{", ".json", "invalid_prompt_file"),
        (b"a red star", ".docx", "invalid_prompt_file"),
        (b'{"prompt": ""}', ".json", "invalid_prompt"),
        (b"x" * ((1 << 20) + 1), ".json", "invalid_prompt_file"),
    ):
        key, etag = drop(doors, body, suffix)
        event = outcome_of(notify(doors, key, etag=etag))
        assert event["data"]["code"] == code
        assert result(doors, key) == event


def test_more_than_one_prompt_is_not_rendered_here(doors: Doors) -> None:
    before = doors.keys()
    several, _ = drop(doors, json.dumps([PROMPT, PROMPT]).encode())
    one, _ = drop(doors, json.dumps(PROMPT).encode())
    assert notify(doors, several).status == 422
    assert notify(doors, one, one + "2").status == 422
    assert doors.keys() == before


def test_an_object_that_is_gone_fails_and_one_that_cannot_be_told_is_nothing(doors: Doors) -> None:
    gone = f"in/{uuid.uuid4()}.json"
    event = outcome_of(notify(doors, gone, etag="0" * 32))
    assert event["data"]["code"] == "object_gone"
    assert notify(doors, gone).status == 204


def test_own_outputs_and_filtered_objects_are_nothing(doors: Doors) -> None:
    before = doors.keys()
    for bucket, key in ((doors.images, "images/x.json"), (doors.prompts, "out/x.json"), (doors.prompts, "in/x/")):
        assert notify(doors, key, bucket=bucket).status == 204
    assert doors.keys() == before
