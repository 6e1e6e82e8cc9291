"""Records: how a request's one outcome is kept and read back, and what of the store's JSON is none of ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, Self

from events.envelope import MAX_NESTING, decode_json, encode_json
from events.outcome import Outcome
from events.request import ObjectRef, Request
from function import layout
from function.errors import StoreDown
from function.store import ObjectStore

VERSION: Final = 1
STRANGE: Final = "object storage holds something else where Darkroom keeps JSON of its own"


@dataclass(frozen=True, slots=True)
class Record:
    """The commit of a request: how it ended, and how outcomes were told then."""

    request: Request
    prompt_hash: str
    told_by: Literal["reply", "sink"]
    outcome: Outcome

    def encode(self) -> bytes:
        request = self.request
        return encode_json(
            {
                "version": VERSION,
                "key": request.key,
                "request": {
                    "source": request.source,
                    "id": request.id,
                    "prompt": request.received,
                    "object": request.object.as_data() if request.object else None,
                    "index": request.index,
                    "context": dict(request.context),
                },
                "prompt_hash": self.prompt_hash,
                "told_by": self.told_by,
                "outcome": dict(self.outcome.event),
            }
        )

    @classmethod
    def decode(cls, body: bytes) -> Self:
        """What `encode` wrote; `StoreDown` for anything else, and for what a newer Darkroom wrote."""
        # A record holds the prompt two levels deeper than it was received.
        match json_object(body, MAX_NESTING + 2):
            case {
                "version": 1,
                "request": {
                    "source": str(source),
                    "id": str(id),
                    "prompt": prompt,
                    "object": None | {"bucket": str(), "key": str()} as ref,
                    "index": int(index),
                    "context": dict(context),
                },
                "prompt_hash": str(prompt_hash),
                "told_by": "reply" | "sink" as told_by,
                "outcome": {"type": str(), "time": str(), "data": dict()} as event,
            }:
                request = Request(source, id, prompt, _object(ref), index, context)
                return cls(request, prompt_hash, told_by, Outcome(event))
            case {"version": int(version)} if version > VERSION:
                raise StoreDown("a newer version of Darkroom wrote this record; run that version")
        raise StoreDown(STRANGE)


def read(store: ObjectStore, key: str) -> Record | None:
    """The record of a request's key, None if there is none; `StoreDown` if something else is there."""
    stored = store.read(layout.record(key))
    return Record.decode(stored.body) if stored else None


def exists(store: ObjectStore, key: str) -> bool:
    return store.read(layout.record(key), limit=0) is not None


def json_object(body: bytes, levels: int = MAX_NESTING) -> dict[str, Any]:
    """The JSON object that Darkroom keeps in an object of the store; `StoreDown` if something else is there."""
    try:
        value = decode_json(body, levels)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise StoreDown(STRANGE)
    return value


def _object(ref: dict[str, Any] | None) -> ObjectRef | None:
    if ref is None:
        return None
    return ObjectRef.named(ref["bucket"], ref["key"], ref.get("version"), ref.get("etag"), ref.get("size"))
