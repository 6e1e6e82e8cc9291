"""CloudEvents in and out over HTTP, strict where the SDK is lenient."""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from cloudevents.core.exceptions import CloudEventValidationError
from cloudevents.core.v1.event import CloudEvent

STRUCTURED: Final = "application/cloudevents+json"
BATCH: Final = "application/cloudevents-batch+json"
REQUIRED: Final = ("specversion", "id", "source", "type")
IDENTITY: Final = ("id", "source")
# Attributes that hold an instant: one of CloudEvents' own, and its documented extension for when an event is stale.
EXPIRY: Final = "expirytime"
INSTANTS: Final = ("time", EXPIRY)
# What no attribute may hold (CloudEvents 1.0, section 3.2): control characters, surrogates and noncharacters.
FORBIDDEN: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
NAME: Final = re.compile(r"[a-z0-9]+")
# Bytes: enough for any object's name; and four of them with an id fit into a completion beside the longest prompts.
MAX_ATTRIBUTE: Final = 1536
MAX_NESTING: Final = 64

# An IntegrationSource calls all that it finds JSON (it is Camel's default), and repeats for ever what is refused.
MISLABELLED: Final = frozenset({"dev.knative.eventing.aws-s3", "dev.knative.eventing.aws-sqs"})
REFUSALS: Final = (CloudEventValidationError, ValueError, TypeError)


class NotACloudEvent(ValueError):
    """The message is no CloudEvent 1.0, or its data is not the JSON that it says it is."""


@dataclass(frozen=True, slots=True)
class Message:
    """What arrived: the data decoded, None if it is no JSON, and a CloudEvent's attributes, those that were sent.

    `body` holds the data's own bytes, written anew where they were part of a JSON event.
    """

    data: object
    attributes: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def type(self) -> str:
        return self.attributes.get("type", "")


def decode_json(body: bytes, levels: int = MAX_NESTING) -> object:
    """The JSON value in `body`, which `encode_json` can write again.

    ValueError also for NaN, for a number that no float holds, for more than `levels` brackets in each other (what
    Python's own limit lets pass it may refuse to write later) and for what is not UTF-8.
    """

    def refuse(name: str) -> object:
        raise ValueError(f"{name} is not JSON")

    def finite(digits: str) -> float:
        if math.isinf(number := float(digits)):
            raise ValueError("a number is too large")
        return number

    try:
        value: object = json.loads(body.decode("utf-8-sig"), parse_constant=refuse, parse_float=finite)
    except RecursionError:
        raise ValueError("too many brackets in each other") from None
    if _is_deeper(value, levels):
        raise ValueError("too many brackets in each other")
    return value


def _is_deeper(value: object, levels: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return inner is not None and (not levels or any(_is_deeper(each, levels - 1) for each in inner))


def encode_json(value: object) -> bytes:
    """UTF-8 JSON; a lone surrogate, which JSON may name but UTF-8 cannot hold, stays an escape."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace")


def media_type(headers: Mapping[str, str]) -> str:
    return headers.get("content-type", "").split(";")[0].strip().lower()


def read(headers: Mapping[str, str], body: bytes) -> Message:
    """The CloudEvent in an HTTP request (`headers` in lower case), binary or structured mode."""
    media = media_type(headers)
    try:
        if media == STRUCTURED:
            # Whatever ce- headers are sent beside it: HTTP binding, section 3.2.3.
            return _structured(decode_json(body))
        if media.startswith("application/cloudevents"):
            raise NotACloudEvent("neither batches nor formats other than JSON are understood here")
        return _binary(headers, body)
    except REFUSALS as error:
        raise NotACloudEvent(str(error)) from error


def read_batch(headers: Mapping[str, str], body: bytes) -> tuple[Message, ...]:
    """The CloudEvents of a batch (JSON format, section 4), none of them if one is none."""
    if media_type(headers) != BATCH:
        raise NotACloudEvent("a batch is application/cloudevents-batch+json")
    try:
        sent = decode_json(body, MAX_NESTING + 1)
        if not isinstance(sent, list):
            raise NotACloudEvent("a batch is a JSON list")
        return tuple(_structured(each) for each in sent)
    except REFUSALS as error:
        raise NotACloudEvent(str(error)) from error


def _binary(headers: Mapping[str, str], body: bytes) -> Message:
    sent = sent_in(headers)
    return _message(sent, _decoded(body, sent) if body else None, body)


def sent_in(headers: Mapping[str, str]) -> dict[str, Any]:
    """The attributes of a binary-mode event as they were sent, whatever they are."""
    sent: dict[str, Any] = {
        name[3:]: _unescaped(name[3:], value) for name, value in headers.items() if name.startswith("ce-")
    }
    # The content type is the one place for it: HTTP binding, section 3.1.1.
    sent["datacontenttype"] = headers.get("content-type") or None
    return {name: value for name, value in sent.items() if value is not None}


def _unescaped(name: str, value: str) -> str:
    """An attribute in a header, unescaped: HTTP binding, section 3.1.3.2.

    What its sender did not encode is taken as meant: raw UTF-8 from Ceph, anything at all from a KafkaSource.
    """
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = re.sub(r"\\(.)", r"\1", value[1:-1])
    with suppress(UnicodeDecodeError):
        # Servers hand on a header's bytes as Latin-1, which is what a KafkaSource writes.
        text = unquote_to_bytes(value.encode("latin-1")).decode("utf-8")
        if "\0" not in text:
            return text
    # What tells events apart must be beyond doubt.
    if "%" in value and name in IDENTITY:
        raise NotACloudEvent(f"the {name} is encoded, but is no text")
    return value


def _structured(sent: object) -> Message:
    if not isinstance(sent, dict):
        raise NotACloudEvent("a structured CloudEvent is a JSON object")
    data, encoded = sent.pop("data", None), sent.pop("data_base64", None)
    if encoded is not None:
        if data is not None:
            raise NotACloudEvent("data and data_base64 exclude each other")
        body = base64.b64decode(encoded, validate=True)
        return _message(sent, _decoded(body, sent), body)
    if isinstance(data, str) and not _is_json(sent):
        return _message(sent, None, data.encode("utf-8", "surrogatepass"))
    return _message(sent, data, b"" if data is None else encode_json(data))


def _decoded(body: bytes, sent: Mapping[str, Any]) -> object:
    if not _is_json(sent):
        return None
    try:
        return decode_json(body)
    except ValueError:
        # A KafkaSource names no type for what it wraps.
        if not sent.get("datacontenttype") or sent.get("type") in MISLABELLED:
            return None
        raise


def _is_json(sent: Mapping[str, Any]) -> bool:
    """Whether the data is JSON, or may be, since nothing is said of it."""
    media = media_type({"content-type": str(sent.get("datacontenttype") or "")})
    return not media or media.endswith(("/json", "+json"))


def _message(sent: Mapping[str, Any], data: object, body: bytes) -> Message:
    # The SDK invents a missing id, time or specversion, which would make every redelivery a new event: so the required
    # attributes are looked for first, and the SDK is only asked whether it agrees.
    check_required(sent)
    # null means unset: JSON format, section 2.2.
    values = {_name(name): value for name, value in sent.items() if value is not None}
    attributes = {name: _text(value) for name, value in values.items()}
    values |= {name: instant(attributes[name]) for name in INSTANTS if name in values}
    try:
        CloudEvent(values)
    except CloudEventValidationError:
        # Its own words repeat what was sent.
        raise NotACloudEvent("an attribute is not as CloudEvents 1.0 has it") from None
    return Message(data, attributes, body)


def check_required(sent: Mapping[str, Any]) -> None:
    """`NotACloudEvent` where an attribute that every event has (CloudEvents 1.0, section 3.1) is missing or no text."""
    missing = [name for name in REQUIRED if not isinstance(sent.get(name), str) or not sent[name]]
    if missing:
        raise NotACloudEvent(f"required attributes are missing: {', '.join(missing)}")
    if sent["specversion"] != "1.0":
        raise NotACloudEvent("only CloudEvents 1.0 is understood")
    # They are told again with every outcome, which no broker could hand on.
    if any(FORBIDDEN.search(sent[name]) for name in REQUIRED):
        raise NotACloudEvent("a required attribute holds what is no character of a text")


def instant(text: str) -> datetime:
    """The instant that an attribute names (RFC 3339); `NotACloudEvent` if it names none."""
    try:
        found = datetime.fromisoformat(text.upper())
    except ValueError:
        raise NotACloudEvent("a time is none") from None
    if found.tzinfo is None:
        raise NotACloudEvent("a time has no zone")
    return found


def _name(name: str) -> str:
    if not NAME.fullmatch(name):
        raise NotACloudEvent("an attribute's name holds something other than lower-case letters and digits")
    return name


def _text(value: object) -> str:
    """An attribute as text (CloudEvents 1.0, section 3.2)."""
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str | int):
        raise NotACloudEvent("an attribute is neither text nor a whole number nor a boolean")
    text = str(value)
    # A NUL would let two events with other ids share a key.
    if "\0" in text or len(encode_json(text)) > MAX_ATTRIBUTE + 2:
        raise NotACloudEvent(f"an attribute holds a NUL or more than {MAX_ATTRIBUTE} bytes")
    return text


def write(event: Mapping[str, Any]) -> tuple[dict[str, str], bytes]:
    """Headers and body of `event`, a CloudEvent in its JSON form, in structured mode."""
    return {"Content-Type": f"{STRUCTURED}; charset=utf-8"}, encode_json(event)
