"""What became of a request, read from the image bucket alone."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Final

from events.promptfile import DEFAULTS, InvalidPromptFile, Limits, read
from events.request import ObjectRef, from_object
from function import layout, progress
from function.errors import ObjectGone
from function.ledger import Ledger
from function.store import ObjectStore

KEY: Final = re.compile(r"[0-9a-f]{64}")


def describe(
    what: str, ledger: Ledger, bucket: Callable[[str], ObjectStore], limits: Limits = DEFAULTS
) -> Iterator[str]:
    """Lines about a request's key, or about each prompt of a dropped object (`bucket/key` or `s3://bucket/key`)."""
    if KEY.fullmatch(what):
        yield from _request(what, ledger)
        return
    name, _, object_key = what.removeprefix("s3://").partition("/")
    stored = bucket(name).read(object_key, limit=limits.size + 1) if name and object_key else None
    if stored is None:
        raise ObjectGone(f"there is no object {what}; name it as bucket/key")
    ref = ObjectRef(name, object_key, stored.version, stored.etag)
    seen = progress.read(ledger.store, ref)
    count = seen.count if seen and seen.count else _count(ref.key, stored.body, limits)
    state = "done" if seen and seen.done else "published, not done" if seen and seen.count else "not done"
    yield f"{ref.uri}: {state}, {count} prompt{'s' if count != 1 else ''}"
    for index in range(count):
        yield f"prompt {index}:"
        yield from _request(from_object(ref, index, None).key, ledger)


def _count(name: str, body: bytes, limits: Limits) -> int:
    """How many prompts the file holds; one that cannot be read fails as its prompt 0."""
    try:
        return len(read(name, body, limits))
    except InvalidPromptFile:
        return 1


def _request(key: str, ledger: Ledger) -> Iterator[str]:
    yield f"  key      {key}"
    attempts = list(ledger.attempts(key))
    for number, attempt in enumerate(attempts, 1):
        state = attempt.ended or ("running" if ledger.alive(attempt) else "died")
        yield f"  attempt  {number}: {state}, last heard of {attempt.age:.0f} s ago"
    stored = ledger.store.read(layout.record(key))
    if stored is None:
        yield "  record   none yet" if attempts else "  record   none, and nobody has tried"
        return
    record = json.loads(stored.body)
    data = record["outcome"]["data"]
    yield f"  record   {record['outcome']['type']} at {record['outcome']['time']}"
    if "code" in data:
        yield f"  failure  {data['code']}: {data['message']}"
    for image in data.get("images", ()):
        yield f"  image    {image['uri']}"
    if record["told_by"] == "sink":
        told = ledger.store.read(layout.told(key), limit=0) is not None
        yield f"  told     {'to the sink' if told else 'not yet; the sweep or a redelivery tells it'}"
    else:
        yield "  told     as the reply to each delivery, and in results/ if a file was dropped"
