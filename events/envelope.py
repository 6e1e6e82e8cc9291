"""CloudEvents in and out over HTTP, strict where the SDK is lenient."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from cloudevents.core.exceptions import CloudEventValidationError

STRUCTURED: Final = "application/cloudevents+json"
REQUIRED: Final = ("specversion", "id", "source", "type")
MAX_ATTRIBUTE: Final = 2048


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
    """The JSON value in `body`; ValueError also for NaN, for too deep nesting and for what is not UTF-8."""

    def refuse(name: str) -> object:
        raise ValueError(f"{name} is not JSON")

    try:
        return json.loads(body.decode("utf-8-sig"), parse_constant=refuse)
    except RecursionError:
        raise ValueError("nested too deeply") from None


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
    structured = media_type(headers) == STRUCTURED
    try:
        if structured:
            sent = decode_json(body)
            if not isinstance(sent, dict):
                raise NotACloudEvent("a structured CloudEvent is a JSON object")
            # Any ce- header would make the SDK read the whole event as binary data.
            relevant = {"content-type": STRUCTURED}
            data = sent.get("data")
        else:
            sent = {name[3:]: value for name, value in headers.items() if name.startswith("ce-")}
            relevant = {name: value for name, value in headers.items() if name.startswith(("ce-", "content-type"))}
            data = decode_json(body) if body else None
        _check(sent)
        event = from_http_event(HTTPMessage(headers=relevant, body=body))
        attributes = {name: _text(value) for name, value in event.get_attributes().items() if value is not None}
    except (CloudEventValidationError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise NotACloudEvent(str(error)) from error
    return Message(data=data, attributes=attributes)


def _check(sent: Mapping[str, Any]) -> None:
    missing = [name for name in REQUIRED if not isinstance(sent.get(name), str) or not sent[name]]
    if missing:
        raise NotACloudEvent(f"required attributes are missing: {', '.join(missing)}")
    if sent["specversion"] != "1.0":
        raise NotACloudEvent("only CloudEvents 1.0 is understood")
    for name, value in sent.items():
        if name != "data" and isinstance(value, str) and len(value) > MAX_ATTRIBUTE:
            raise NotACloudEvent(f"an attribute is longer than {MAX_ATTRIBUTE} characters")


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def write(event: Mapping[str, Any]) -> tuple[dict[str, str], bytes]:
    """Headers and body of `event`, a CloudEvent in its JSON form, in structured mode."""
    return {"Content-Type": f"{STRUCTURED}; charset=utf-8"}, encode_json(event)
