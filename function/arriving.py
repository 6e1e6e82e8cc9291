"""What arrives at the doors: CloudEvents in any mode and, at `POST /drop`, raw bodies of any dialect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from events.dialects import Found, Nothing, read
from events.dialects.direct import plain
from events.envelope import BATCH, STRUCTURED, Message, NotACloudEvent, decode_json, media_type, read_batch
from events.envelope import read as read_event
from function.errors import NotAnEvent


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message and what a dialect found in it."""

    message: Message
    found: Found


def read_events(headers: Mapping[str, str], body: bytes) -> tuple[Arrival, ...]:
    """The CloudEvents in an HTTP request (`headers` in lower case), one or a batch; `NotAnEvent` if any is none."""
    try:
        messages = read_batch(headers, body) if media_type(headers) == BATCH else (read_event(headers, body),)
        return tuple(Arrival(message, read(message)) for message in messages)
    except NotACloudEvent as error:
        raise NotAnEvent(str(error)) from error


def read_drop(headers: Mapping[str, str], body: bytes) -> tuple[Arrival, ...]:
    """Whatever a server or a person POSTs, CloudEvents among it; `NotAnEvent` if it cannot be read."""
    if "ce-specversion" in headers or media_type(headers) in (STRUCTURED, BATCH):
        return read_events(headers, body)
    try:
        message = Message(decode_json(body), body=body)
        found = read(message)
    except (NotACloudEvent, ValueError) as error:
        raise NotAnEvent(str(error)) from error
    if isinstance(found, Nothing):
        found = plain(message.data, headers.get("idempotency-key")) or found
    return (Arrival(message, found),)
