"""Whatever is done to a message on its way, it is understood, or it is nothing, or it is refused as documented."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from events import IMAGE_REQUESTED, PROMPTS_DROPPED
from events.dialects import Carried, Dropped, Found, Prompted
from events.dialects.direct import plain
from events.envelope import BATCH, STRUCTURED, NotACloudEvent, decode_json, encode_json
from events.request import ObjectRef, from_object, key_of
from tests.events.samples import CARRIER, MODES, SAMPLES, understood

MUTATIONS = 20_000
SHARES = 10  # so that a failure is found again without all the others

REF = ObjectRef("prompts", "in/red.json", "v1", "e", 24)
DERIVED = from_object(REF, 3, None)
OWN = [
    (CARRIER | {"type": PROMPTS_DROPPED}, encode_json({"object": REF.as_data()})),
    (CARRIER | {"type": IMAGE_REQUESTED}, b'{"prompt":"a red star"}'),
    (
        {"specversion": "1.0", "type": IMAGE_REQUESTED, "source": DERIVED.source, "id": DERIVED.id, "batchindex": "3"},
        encode_json({"prompt": "a red star", "object": REF.as_data()}),
    ),
]
SENT = [(sample.attributes or CARRIER, data) for sample in SAMPLES for data in sample.datas] + OWN

ODD: list[Any] = [
    None,
    True,
    -1,
    0,
    10**30,
    1e300,
    "",
    "%ff",
    "%00",
    "\ud800",
    "null",
    [],
    {},
    [[]],
    {"": None},
    "x" * 2000,
]
NAMES = [
    "Records",
    "s3",
    "object",
    "Type",
    "Message",
    "Body",
    "detail",
    "message",
    "new_entry",
    "prompt",
    "prompts",
    "id",
]
TYPES = [
    *("application/json", "text/plain", STRUCTURED, BATCH, "application/cloudevents+avro", "", ";", "a/b+json"),
    "application/octet-stream",
]


def mutated(value: Any, luck: Random) -> Any:
    """The value with one thing, somewhere in it, dropped, replaced, put inside another or called otherwise."""
    if isinstance(value, dict) and value and luck.random() < 0.85:
        name = luck.choice(list(value))
        rest = {other: inner for other, inner in value.items() if other != name}
        match luck.randrange(8):
            case 0:
                return rest
            case 1:
                return rest | {luck.choice(NAMES): value[name]}
            case 2:
                return rest | {name.swapcase(): value[name]}
            case _:
                return rest | {name: mutated(value[name], luck)}
    if isinstance(value, list) and value and luck.random() < 0.85:
        at = luck.randrange(len(value))
        return [*value[:at], mutated(value[at], luck), *value[at + luck.randrange(2) :]]
    if isinstance(value, str) and value.startswith("{") and luck.random() < 0.7:
        return json_mutated(value.encode("utf-8", "surrogatepass"), luck).decode("utf-8", "surrogatepass")
    match luck.randrange(4):
        case 0:
            return [value]
        case 1:
            return {luck.choice(NAMES): value}
        case _:
            return luck.choice(ODD)


def json_mutated(body: bytes, luck: Random) -> bytes:
    """The JSON mutated; what is none is left alone."""
    try:
        return encode_json(mutated(decode_json(body), luck))
    except ValueError:
        return body


def bytes_mutated(body: bytes, luck: Random) -> bytes:
    """The bytes cut off, one of them another, or some of them twice."""
    at = luck.randrange(len(body) + 1)
    match luck.randrange(3):
        case 0:
            return body[:at]
        case 1:
            return body[:at] + bytes([luck.randrange(256)]) + body[at + 1 :]
        case _:
            return body[:at] + body[luck.randrange(at + 1) :]


def header_mutated(headers: dict[str, str], luck: Random) -> dict[str, str]:
    """The headers with one gone, replaced, called otherwise or added."""
    name = luck.choice([*headers, "content-type"])
    rest = {other: value for other, value in headers.items() if other != name}
    match luck.randrange(5):
        case 0:
            return rest
        case 1:
            return rest | {name: luck.choice(["", "%", "%ff", "%00", '"', "\xe9", "\0", "x" * 2000, "1.0", "5"])}
        case 2:
            return rest | {luck.choice(["ce-", "ce-time", "ce-data", "ce-a b", "x-id"]): headers.get(name, "")}
        case 3:
            return rest | {"ce-type": luck.choice([IMAGE_REQUESTED, PROMPTS_DROPPED, "dev.knative.kafka.event"])}
        case _:
            return rest | {"content-type": luck.choice(TYPES)}


def sent(luck: Random) -> tuple[dict[str, str], bytes]:
    """A sample as it may arrive, with one to three things done to it."""
    attributes, data = luck.choice(SENT)
    mode = luck.choice(list(MODES.values()))
    if luck.random() < 0.5:
        data = json_mutated(data, luck)
    headers, body = mode(attributes, data)
    for _ in range(luck.randrange(3)):
        match luck.randrange(4):
            case 0 if headers:
                headers = header_mutated(headers, luck)
            case 1:
                body = bytes_mutated(body, luck)
            case _:
                body = json_mutated(body, luck)
    return headers, body


def check(found: Found) -> None:
    """Whatever was found can be acted upon: it has keys and can be written down."""
    match found:
        case Dropped(objects):
            assert objects
            assert all(ref.bucket and ref.key and ref.file_key and encode_json(ref.as_data()) for ref in objects)
        case Carried(source, id_, received, context):
            assert key_of(source, id_)
            assert encode_json([received, dict(context)])
        case Prompted(request):
            assert request.key
            assert request.prompt_hash
            assert encode_json(request.received)


@pytest.mark.parametrize("share", range(SHARES))
def test_damaged_message_is_understood_or_refused(share: int) -> None:
    outcomes = {"refused": 0, "understood": 0}

    @settings(max_examples=MUTATIONS // SHARES, database=None, suppress_health_check=list(HealthCheck))
    @given(st.integers(0, 2**64 - 1))
    def damage(seed: int) -> None:
        headers, body = sent(Random(seed * SHARES + share))
        refusal = NotACloudEvent if headers else ValueError
        try:
            founds = list(understood(headers, body))
            data = None if headers else decode_json(body)
        except refusal:
            outcomes["refused"] += 1
            return
        for found in founds:
            check(found)
        plain(data, None)
        outcomes["understood"] += 1

    damage()
    # Damage that nothing survives, or that harms nothing, would prove nothing.
    assert min(outcomes.values()) > sum(outcomes.values()) / 20
