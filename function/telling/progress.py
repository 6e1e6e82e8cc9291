"""How far a dropped file has come, kept under `files/`: published, then done when each of its prompts has a record."""

from __future__ import annotations

from dataclasses import dataclass

from events.envelope import encode_json
from events.request import ObjectRef
from function import layout
from function.errors import StoreDown
from function.ledger.records import json_object
from function.store import ObjectStore


@dataclass(frozen=True, slots=True)
class Progress:
    """A file of `count` prompts, last looked at `age` seconds ago by the store's clock; 0 if it was only announced."""

    count: int
    done: bool
    age: float


def read(store: ObjectStore, ref: ObjectRef) -> Progress | None:
    """The progress of the file, as read; None if there is none, or none that can be read: it follows from records."""
    stored = store.read(layout.file(ref.file_key))
    if stored is None:
        return None
    try:
        body = json_object(stored.body)
    except StoreDown:
        return None
    if type(body.get("count")) is not int:
        return None
    return Progress(body["count"], body.get("done") is True, stored.age)


def write(store: ObjectStore, ref: ObjectRef, count: int, *, done: bool) -> None:
    store.write(layout.file(ref.file_key), encode_json({"count": count, "done": done}))
