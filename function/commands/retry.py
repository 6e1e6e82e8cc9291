"""Retrying: what has its outcome is asked for once more, under a key of its own; nothing is deleted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count

from events.prompt import faults_of, sentence
from events.request import Request
from function.ledger import records
from function.store import ObjectStore


class NothingToRetry(ValueError):
    """Nothing has been recorded, or nothing else could come of it; the message is the sentence to show."""


def next_retry(store: ObjectStore, key: str) -> Request:
    """The request recorded under `key` as its first retry that has no record yet."""
    record = records.read(store, key)
    if record is None:
        raise NothingToRetry(f"{key} has no record yet, so there is nothing to retry; darkroom status {key} says more")
    if faults := faults_of(record.request.received):
        raise NothingToRetry(f"nothing else can come of it, send what is right: {sentence(faults)}")
    return next(retry for retry in retries(record.request) if not records.exists(store, retry.key))


def retries(request: Request) -> Iterator[Request]:
    """Every retry of the request, without end; those of a file's prompt are the same for all of its retries."""
    first = request
    if request.object is not None:
        first = replace(request, id=request.object.prompt_id(request.index))
    return (first.retried(number) for number in count(1))
