"""Dead letters: events that Knative gave up on, and what they were before."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from events.envelope import (
    STRUCTURED,
    NotACloudEvent,
    check_required,
    decode_json,
    encode_json,
    media_type,
    read,
    sent_in,
)
from function import layout
from function.store import ObjectStore

# Knative adds where an event was not taken, and with which answer: knativeerrordest, -code and -data.
ADDED: Final = "knativeerror"


@dataclass(frozen=True, slots=True)
class Letter:
    """A message that should hold a dead letter, header names in lower case; `name` says where it was found."""

    name: str
    headers: Mapping[str, str]
    body: bytes

    def event(self) -> dict[str, Any]:
        """The event in its JSON form, with all that was added to it; `NotACloudEvent` if it is none."""
        return in_json(self.headers, self.body)


def revived(event: Mapping[str, Any]) -> dict[str, Any]:
    """The event as it was before it became a dead letter."""
    return {name: value for name, value in event.items() if not name.startswith(ADDED)}


def reason(event: Mapping[str, Any]) -> str:
    """Who gave up on the event, as far as it says, in a few words."""
    code, where = (event.get(ADDED + name) for name in ("code", "dest"))
    return f"{f'answered {code}' if code else 'not taken'} by {where or 'an unknown subscriber'}"


def in_json(headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """The event in a message in its JSON form, from which its data comes back byte for byte.

    `NotACloudEvent` only where it has no identity: what our doors refuse for anything else is just what dies.
    """
    if media_type(headers) == STRUCTURED:
        return _structured(body)
    event = sent_in(headers)
    check_required(event)
    if not body:
        return event
    with suppress(NotACloudEvent):
        message = read(headers, body)
        legible = event | {"data": message.data}
        # Who tells records apart by their bytes must find the same ones: a line break is a difference.
        if read({"content-type": STRUCTURED}, encode_json(legible)) == message:
            return legible
    return event | {"data_base64": base64.b64encode(body).decode()}


def _structured(body: bytes) -> dict[str, Any]:
    try:
        event = decode_json(body)
    except ValueError as error:
        raise NotACloudEvent(str(error)) from error
    if not isinstance(event, dict):
        raise NotACloudEvent("a structured CloudEvent is a JSON object")
    check_required(event)
    return event


def in_text(name: str, text: bytes) -> list[Letter]:
    """The letters in a file: one structured event, or one in each line."""
    headers = {"content-type": STRUCTURED}
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    # One event may be written over many lines, of which the first is none by itself.
    if len(lines) > 1 and _is_json(lines[0][1]):
        return [Letter(f"{name}, line {number}", headers, line) for number, line in lines]
    return [Letter(name, headers, text)] if lines else []


def _is_json(text: bytes) -> bool:
    try:
        decode_json(text)
    except ValueError:
        return False
    return True


def names(store: ObjectStore, key: str = "") -> list[str]:
    """Where `darkroom archive` has kept letters, all or those of one key, oldest first among those of a key."""
    return sorted(listed.key for listed in store.list(f"{layout.DEAD}{key}/" if key else layout.DEAD))


def in_archive(store: ObjectStore, kept: Iterable[str]) -> Iterator[Letter]:
    """The letters of these names, but for those that are gone by now."""
    for name in kept:
        if stored := store.read(name):
            yield Letter(name, {"content-type": STRUCTURED}, stored.body)
