"""What became of a request, read from the image bucket alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import takewhile
from typing import Final

from events.envelope import NotACloudEvent
from events.promptfile import DEFAULTS, InvalidPromptFile, Limits, read
from events.request import ObjectRef, Request, from_object
from function import layout
from function.commands.retry import retries
from function.errors import ObjectGone
from function.ledger import Ledger, records
from function.ledger.records import Record
from function.letters import in_archive, names, reason
from function.store import ObjectStore
from function.telling import progress

KEY: Final = re.compile(r"[0-9a-f]{64}")
# Dead letters of one key that are shown, the latest.
SHOWN: Final = 5


def describe(
    what: str, ledger: Ledger, bucket: Callable[[str], ObjectStore], limits: Limits = DEFAULTS, *, horizon: float
) -> Iterator[str]:
    """Lines about a request's key, or about each prompt of a dropped object (`bucket/key` or `s3://bucket/key`).

    `horizon` is the sweep's, in seconds: what is older is not told any more, and the mark that it was told may be gone.
    """
    if KEY.fullmatch(what):
        yield from _request(what, ledger, horizon)
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
    yield from _dead(ref.file_key, ledger.store)
    for index in range(count):
        yield f"prompt {index}:"
        yield from _request(from_object(ref, index, None).key, ledger, horizon)


def _count(name: str, body: bytes, limits: Limits) -> int:
    """How many prompts the file holds; one that cannot be read fails as its prompt 0."""
    try:
        return len(read(name, body, limits))
    except InvalidPromptFile:
        return 1


def _request(key: str, ledger: Ledger, horizon: float) -> Iterator[str]:
    yield f"  key      {key}"
    attempts = list(ledger.attempts(key))
    for number, attempt in enumerate(attempts, 1):
        state = attempt.ended or ledger.state(attempt).value
        yield f"  attempt  {number}: {state}, last heard of {attempt.age:.0f} s ago"
    stored = ledger.store.read(layout.record(key))
    if stored is None:
        yield "  record   none yet" if attempts else "  record   none, and nobody has tried"
    else:
        yield from _record(Record.decode(stored.body), ledger.store, old=stored.age > horizon)
    yield from _dead(key, ledger.store)


def _record(record: Record, store: ObjectStore, *, old: bool) -> Iterator[str]:
    event = record.outcome.event
    data = event["data"]
    yield f"  record   {event['type']} at {event['time']}"
    if "code" in data:
        yield f"  failure  {data['code']}: {data['message']}"
    for image in data.get("images", ()):
        yield f"  image    {image['uri']}"
    if record.told_by == "reply":
        yield "  told     as the reply to each delivery, and in results/ if a file was dropped"
    elif store.read(layout.told(record.request.key), limit=0) is not None:
        yield "  told     to the sink"
    elif old:
        yield "  told     not known any more, it is older than DARKROOM_HORIZON; a redelivery tells it again"
    else:
        yield "  told     not yet; the sweep or a redelivery tells it"
    for retry in takewhile(lambda retry: _tried(retry, store), retries(record.request)):
        state = "recorded" if records.exists(store, retry.key) else "no record yet"
        yield f"  retry    {retry.retry}: {retry.key}, {state}"


def _tried(request: Request, store: ObjectStore) -> bool:
    return store.read(layout.claim(request.key, 1), limit=0) is not None or records.exists(store, request.key)


def _dead(key: str, store: ObjectStore) -> Iterator[str]:
    kept = names(store, key)
    for letter in in_archive(store, kept[-SHOWN:]):
        try:
            why = reason(letter.event())
        except NotACloudEvent:
            why = "unreadable"
        yield f"  dead     {letter.name}, {why}"
    if len(kept) > SHOWN:
        yield f"  dead     and {len(kept) - SHOWN} before that"
