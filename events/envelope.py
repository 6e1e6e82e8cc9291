"""CloudEvents in and out over HTTP, strict where the SDK is lenient."""

from __future__ import annotations

import base64
import codecs
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from cloudevents.core.exceptions import CloudEventValidationError

STRUCTURED: Final = "application/cloudevents+json"
REQUIRED: Final = ("specversion", "id", "source", "type")
# Bytes: enough for any object's name; and four of them with an id fit into a completion beside the longest prompts.
MAX_ATTRIBUTE: Final = 1536
MAX_NESTING: Final = 64


class NotACloudEvent(ValueError):
    """The message is no CloudEvent 1.0, or its data is not the JSON that it says it is."""


@dataclass(frozen=True, slots=True)
class Message:
    """What arrived, decoded: the JSON data and, unless it is a raw body, the CloudEvent's attributes."""

    data: object
    attributes: Mapping[str, str] = field(default_factory=dict)

    @property
    def type(self) -> str:
        return self.attributes.get("type", "")


def decode_json(body: bytes) -> object:
    """The JSON value in `body`, which `encode_json` can write again.

    ValueError also for NaN, for a number that no float holds, for more than `MAX_NESTING` brackets in each other (what
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
    if _is_deeper(value, MAX_NESTING):
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
    """The CloudEvent in an HTTP request (`headers` in lower case), binary or structured mode.

    The SDK invents a missing id, time or specversion, which would make every redelivery a new event; so the
    required attributes (CloudEvents 1.0, section 3.1) are looked for in what was sent, before it parses.
    """
    media = media_type(headers)
    try:
        if media == STRUCTURED:
            sent = decode_json(body)
            if not isinstance(sent, dict):
                raise NotACloudEvent("a structured CloudEvent is a JSON object")
            # Any ce- header would make the SDK read the whole event as binary data.
            relevant = {"content-type": STRUCTURED}
            data = _inner_data(sent)
        elif media.startswith("application/cloudevents"):
            raise NotACloudEvent("neither batches nor formats other than JSON are understood")
        else:
            sent = {name[3:]: value for name, value in headers.items() if name.startswith("ce-")}
            relevant = {name: value for name, value in headers.items() if name.startswith(("ce-", "content-type"))}
            data = decode_json(body) if body and _is_json(media) else None
        _check(sent)
        event = from_http_event(HTTPMessage(headers=relevant, body=body.removeprefix(codecs.BOM_UTF8)))
        attributes = {name: _text(value) for name, value in event.get_attributes().items() if value is not None}
    except (CloudEventValidationError, ValueError, TypeError, AttributeError, KeyError, OverflowError) as error:
        raise NotACloudEvent(str(error)) from error
    return Message(data=data, attributes=attributes)


def _is_json(media: str) -> bool:
    """Whether data of this media type is JSON; a KafkaSource names none for what it wraps."""
    return media in ("", "application/json", "text/json") or media.endswith("+json")


def _inner_data(sent: Mapping[str, Any]) -> object:
    encoded = sent.get("data_base64")
    if not isinstance(encoded, str):
        return sent.get("data")
    media = media_type({"content-type": str(sent.get("datacontenttype") or "")})
    return decode_json(base64.b64decode(encoded, validate=True)) if _is_json(media) else None


def _check(sent: Mapping[str, Any]) -> None:
    missing = [name for name in REQUIRED if not isinstance(sent.get(name), str) or not sent[name]]
    if missing:
        raise NotACloudEvent(f"required attributes are missing: {', '.join(missing)}")
    if sent["specversion"] != "1.0":
        raise NotACloudEvent("only CloudEvents 1.0 is understood")


def _text(value: object) -> str:
    """An attribute as text (CloudEvents 1.0, section 3.2)."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return value.isoformat()
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
