"""Malformed CloudEvents, and a few that only look it, each with its documented answer at `POST /` of intake."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any, Final

from events import IMAGE_REQUESTED, PROMPTS_DROPPED
from events.envelope import BATCH, MAX_ATTRIBUTE, MAX_NESTING, STRUCTURED, encode_json

EVENT: Final = {"specversion": "1.0", "id": "one", "source": "/tests", "type": IMAGE_REQUESTED}
# What is none of ours is answered 204, if it is read as it should be.
OTHER: Final = EVENT | {"type": "com.example.other"}
DATA: Final = {"prompt": "a red star"}
BODY: Final = encode_json(DATA)
MAX_BODY: Final = 1 << 20


@dataclass(frozen=True)
class Malformed:
    """An HTTP request, its headers' names in lower case, and the status of its answer."""

    name: str
    headers: dict[str, str]
    body: bytes
    status: int = 400


def binary(
    name: str, status: int = 400, body: bytes = BODY, type: str | None = "application/json", /, **sent: Any
) -> Malformed:
    """In binary mode; an attribute that is None is not sent."""
    attributes = EVENT | sent
    headers = {f"ce-{name}": value for name, value in attributes.items() if value is not None}
    return Malformed(name, headers | ({} if type is None else {"content-type": type}), body, status)


def structured(name: str, status: int = 400, /, **sent: Any) -> Malformed:
    return Malformed(name, {"content-type": STRUCTURED}, encode_json(EVENT | {"data": DATA} | sent), status)


def batch(name: str, *entries: object, status: int = 400) -> Malformed:
    return Malformed(name, {"content-type": BATCH}, encode_json(entries), status)


def without(name: str) -> dict[str, Any]:
    return {other: value for other, value in (EVENT | {"data": DATA}).items() if other != name}


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


IN_BASE64: Final = {"data_base64": base64.b64encode(BODY).decode()}

MALFORMED: Final = [
    Malformed("nothing at all", {}, b""),
    Malformed("a plain JSON prompt", {"content-type": "application/json"}, BODY),
    Malformed("a structured event without its content type", {"content-type": "application/json"}, encode_json(EVENT)),
    Malformed("a form", {"content-type": "application/x-www-form-urlencoded"}, b"prompt=a+red+star"),
    *(binary(f"no {name}", **{name: None}) for name in EVENT),
    *(binary(f"an empty {name}", **{name: ""}) for name in EVENT),
    *(Malformed(f"no {name}, structured", {"content-type": STRUCTURED}, encode_json(without(name))) for name in EVENT),
    *(structured(f"{name} is null", **{name: None}) for name in EVENT),
    structured("an id that is a number", id=1),
    structured("a source that is a list", source=["/tests"]),
    binary("CloudEvents 0.3", specversion="0.3"),
    binary("CloudEvents 2.0", specversion="2.0"),
    structured("CloudEvents 1.0 as a number", specversion=1.0),
    binary("a time that is none", time="yesterday"),
    binary("a date without a time", time="2026-11-24"),
    binary("a time without a zone", time="2026-11-24T10:00:00"),
    binary("a time in month 13", time="2026-13-24T10:00:00Z"),
    structured("a time that is a number", time=1795528920),
    binary("an expiry that is none", expirytime="soon"),
    binary("an expiry without a zone", expirytime="2026-11-24T10:00:00"),
    structured("an expiry that is a number", expirytime=1795528920),
    binary("an empty expiry", expirytime=""),
    binary("an empty subject", subject=""),
    structured("a subject that is a number", subject=5),
    structured("an extension in upper case", correlationID="c"),
    structured("an extension with a hyphen", **{"correlation-id": "c"}),
    structured("an extension that ends in a newline", **{"correlationid\n": "c"}),
    structured("an extension without a name", **{"": "c"}),
    structured("an extension that is a list", correlationid=["c"]),
    structured("an extension that is half a number", correlationid=1.5),
    Malformed("a header called ce-", {**binary("").headers, "ce-": "x"}, BODY),
    Malformed("data in a header", {**binary("").headers, "ce-data": "{}"}, BODY),
    binary("a NUL in the id", id="a%00b"),
    binary("a newline in the source", source="/tests%0Ab"),
    structured("a control character in the id", id="a\u0085b"),
    structured("half of a surrogate pair in the type", type="dev.darkroom.\ud800"),
    binary("an id that is too long", id="x" * (MAX_ATTRIBUTE + 1)),
    binary("an id that is no UTF-8", id="a%ff"),
    binary("an id that is overlong UTF-8", id="a%c0%a0"),
    binary("a source that is no UTF-8", source="/tests/%ff"),
    binary("broken JSON", 400, b'{"prompt": '),
    binary("broken JSON without a content type", 400, b'{"prompt": ', None),
    binary("not a number", 400, b'{"prompt": "a", "guidance_scale": NaN}'),
    binary("a number that no float holds", 400, b'{"prompt": "a", "guidance_scale": 1e999}'),
    binary("JSON that is no UTF-8", 400, b'{"prompt": "\xff"}'),
    binary("JSON in UTF-16", 400, '{"prompt": "a"}'.encode("utf-16")),
    binary("300 brackets in each other", 400, nested(300)),
    binary("one bracket too many", 400, nested(MAX_NESTING + 1)),
    binary("100,000 brackets in each other", 400, nested(100_000)),
    Malformed(
        "300 brackets in each other, structured",
        {"content-type": STRUCTURED},
        encode_json(EVENT)[:-1] + b',"data":' + nested(300) + b"}",
    ),
    Malformed("structured, but empty", {"content-type": STRUCTURED}, b""),
    Malformed("structured, but a list", {"content-type": STRUCTURED}, encode_json([EVENT])),
    Malformed("structured, but cut off", {"content-type": STRUCTURED}, encode_json(EVENT | {"data": DATA})[:-9]),
    structured("data twice", **IN_BASE64),
    structured("data that is no base64", data=None, data_base64="no base64!"),
    structured("data in base64 that is no JSON", data=None, data_base64="ew==", datacontenttype="application/json"),
    Malformed("Avro", binary("").headers | {"content-type": "application/cloudevents+avro"}, b"\x00"),
    Malformed("CloudEvents in no format", binary("").headers | {"content-type": "application/cloudevents"}, BODY),
    Malformed("a batch of Avro", {"content-type": "application/cloudevents-batch+avro"}, b"\x00"),
    batch("a batch with an event without an id", OTHER, without("id"), OTHER),
    batch("a batch with an event of another version", OTHER, EVENT | {"specversion": "0.3"}),
    batch("a batch with an event that is none", OTHER, [OTHER]),
    batch("a batch with null", None),
    batch("a batch that drops nothing", OTHER, EVENT | {"type": PROMPTS_DROPPED, "data": {}}),
    Malformed("a batch that is one event", {"content-type": BATCH}, encode_json(OTHER)),
    Malformed("a batch that is cut off", {"content-type": BATCH}, encode_json([OTHER, OTHER])[:-2]),
    Malformed("a batch without a body", {"content-type": BATCH}, b""),
    binary("prompts.dropped without an object", type=PROMPTS_DROPPED),
    structured("prompts.dropped without a key", type=PROMPTS_DROPPED, data={"object": {"bucket": "prompts"}}),
    binary("a body over the limit", 413, encode_json({"prompt": "x" * MAX_BODY})),
    Malformed("a batch over the limit", {"content-type": BATCH}, encode_json([OTHER] * (MAX_BODY // 64)), 413),
    # What is unusual, and right.
    Malformed(
        "ce- headers beside a structured body, which alone counts",
        binary("").headers | {"content-type": STRUCTURED},
        encode_json(OTHER | {"data": DATA}),
        204,
    ),
    Malformed(
        "half of the ce- headers beside a structured body",
        {"content-type": STRUCTURED, "ce-type": IMAGE_REQUESTED, "ce-id": "%ff"},
        encode_json(OTHER),
        204,
    ),
    binary("no content type", 204, BODY, None, type="com.example.other"),
    binary("no content type, and no JSON", 204, b"a red star", None, type="dev.knative.kafka.event"),
    binary("no body", 204, b"", type="com.example.other"),
    binary("what an IntegrationSource calls JSON", 204, b"Hello!", type="dev.knative.eventing.aws-sqs"),
    structured("attributes that are unset by null", 204, type="com.example.other", subject=None, correlationid=None),
    batch("an empty batch", status=204),
    batch("a batch of others' events", OTHER, OTHER, status=204),
]
