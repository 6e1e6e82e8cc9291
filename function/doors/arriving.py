"""What arrives at the doors: CloudEvents in any mode and, at `POST /drop`, raw bodies of any dialect."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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


def read_one(headers: Mapping[str, str], body: bytes) -> Arrival:
    """The CloudEvent in an HTTP request (`headers` in lower case); `NotAnEvent` if it is none, or a batch."""
    return _arrivals(lambda: (read_event(headers, body),))[0]


def read_events(headers: Mapping[str, str], body: bytes) -> tuple[Arrival, ...]:
    """The CloudEvents in an HTTP request (`headers` in lower case), one or a batch; `NotAnEvent` if any is none."""
    if media_type(headers) != BATCH:
        return (read_one(headers, body),)
    return _arrivals(lambda: read_batch(headers, body))


def read_drop(headers: Mapping[str, str], body: bytes) -> tuple[Arrival, ...]:
    """Whatever a server or a person POSTs, CloudEvents among it; `NotAnEvent` if it cannot be read."""
    if "ce-specversion" in headers or media_type(headers) in (STRUCTURED, BATCH):
        return read_events(headers, body)
    try:
        data = decode_json(body)
    except ValueError as error:
        raise NotAnEvent(str(error)) from error
    (arrival,) = _arrivals(lambda: (Message(data, body=body),))
    if isinstance(arrival.found, Nothing):
        carried = plain(data, headers.get("idempotency-key"))
        arrival = Arrival(arrival.message, carried or arrival.found)
    return (arrival,)


def _arrivals(messages: Callable[[], tuple[Message, ...]]) -> tuple[Arrival, ...]:
    try:
        return tuple(Arrival(message, read(message)) for message in messages())
    except NotACloudEvent as error:
        raise NotAnEvent(str(error)) from error
