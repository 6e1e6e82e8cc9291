"""A prompt file asked for from outside: dropped into a bucket, or sent as one event for each of its prompts."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, TypeVar

from events import IMAGE_COMPLETED, IMAGE_FAILED
from events.asking import Batch, requested
from events.envelope import STRUCTURED, decode_json, media_type
from events.outcome import UNRECORDED, Outcome, failed
from events.prompt import Fault, sentence
from events.promptfile import Entries, Entry
from events.request import ObjectRef, Request, from_message, from_object
from function import layout
from function.errors import AccessDenied, BucketMissing, StoreDown
from function.ledger import records
from function.store import ObjectStore
from function.telling import ImageUrls
from function.telling.sink import HttpSink

SOURCE: Final = "/submit"
# What a door of ours and a broker say when the same event is welcome later.
LATER: Final = frozenset({409, 429, 502, 503, 504})
# Seconds between two looks for outcomes, and between two tries of an event.
PAUSE: Final = 1.0
# Requests that are looked for at each look.
WINDOW: Final = 32

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Came:
    """The outcome of prompt `index` of the file, a CloudEvent in its JSON form; or as `refusal` why there is none."""

    index: int
    event: Mapping[str, Any] | None = None
    refusal: str = ""

    @property
    def good(self) -> bool:
        return self.event is not None and "code" not in self.event["data"]


def refused(request: Request, faults: Sequence[Fault]) -> Came:
    """That the request's prompt is invalid, in the words of its outcome."""
    return Came(request.index, failed(request, SOURCE, "invalid_prompt", sentence(faults), faults).event)


def faulty(ref: ObjectRef, entries: Entries) -> Iterator[Came | None]:
    """Of each prompt of a dropped file why it will fail; None if nothing is wrong with it."""
    for index, entry in enumerate(entries):
        yield refused(from_object(ref, index, entry.received), entry.faults) if entry.faults else None


def drop(store: ObjectStore, key: str, body: bytes) -> ObjectRef:
    """The object of this name, created unless it is there: a file that is put again would be another version of it."""
    store.create(key, body, "application/octet-stream")
    stored = store.read(key, limit=0)
    if stored is None:
        raise StoreDown(f"s3://{store.bucket}/{key} was deleted as soon as it was there")
    return ObjectRef(store.bucket, key, stored.version, stored.etag, len(body))


def results(store: ObjectStore, urls: ImageUrls, ref: ObjectRef, count: int, *, timeout: float) -> Iterator[Came]:
    """The outcomes of a dropped file's prompts, each as soon as it is in `results/`; from its record if it is not."""
    names = {layout.result(ref, index): index for index in range(count)}
    prefix = layout.result(ref, 0).removesuffix("0.json")
    pending = {index: from_object(ref, index, None).key for index in range(count)}

    def look(most: int) -> Iterator[Came]:
        for listed in store.list(prefix):
            index = names.get(listed.key, -1)
            if index in pending and (stored := store.read(listed.key)):
                outcome = Outcome(records.json_object(stored.body))
                if outcome.code in UNRECORDED and (record := records.read(store, pending[index])):
                    # It was drawn after all, and what lies here could not be overwritten.
                    outcome = record.outcome
                del pending[index]
                # Signed anew: the URLs that lie here may be over.
                yield Came(index, outcome.with_urls(urls))
        # What lies in `results/` may have expired, as a record does not.
        yield from _recorded(store, urls, pending, most)

    yield from _awaited(pending, look, timeout)
    yield from (_missed(index, timeout, ref.uri) for index in sorted(pending))


def recorded(
    store: ObjectStore, urls: ImageUrls, asked: Iterable[tuple[int, str]], *, timeout: float
) -> Iterator[Came]:
    """The outcomes recorded under these keys, each soon after it is."""
    pending = dict(asked)
    yield from _awaited(pending, lambda most: _recorded(store, urls, pending, most), timeout)
    yield from (_missed(index, timeout, key) for index, key in sorted(pending.items()))


def _recorded(store: ObjectStore, urls: ImageUrls, pending: dict[int, str], most: int) -> Iterator[Came]:
    """What is recorded by now of the first that are pending, which it is not any more."""
    for index, key in list(islice(pending.items(), most)):
        record = records.read(store, key)
        del pending[index]
        if record:
            yield Came(index, record.outcome.with_urls(urls))
        else:
            # Behind all others, which have to be found though this one may never be there.
            pending[index] = key


def _awaited(pending: Sized, look: Callable[[int], Iterator[Came]], timeout: float) -> Iterator[Came]:
    """What looks find until nothing is pending, or nothing came in `timeout` seconds, which the last look makes sure.

    After one that finds nothing, or meets a store that is away for now, there is a pause.
    """
    deadline = time.monotonic() + timeout
    while pending:
        last, found = time.monotonic() >= deadline, False
        try:
            for came in look(len(pending) if last else WINDOW):
                found = True
                yield came
        except StoreDown as error:
            if (last and not found) or isinstance(error, AccessDenied | BucketMissing):
                raise
        if found:
            deadline = time.monotonic() + timeout
        elif last:
            return
        else:
            time.sleep(min(PAUSE, max(0, deadline - time.monotonic())))


def _missed(index: int, timeout: float, what: str) -> Came:
    """That the prompt has no outcome yet: its event has died, or nobody draws."""
    return Came(index, refusal=f"no outcome within {timeout:g} s; see the dead letters: darkroom status {what}")


class Asking:
    """Sends an event for each prompt; what is sent again, by whomever, has the same ids and is not drawn again."""

    def __init__(self, sink: HttpSink, body: bytes, entries: Entries, *, patience: float) -> None:
        self._sink = sink
        self._entries = entries
        self._patience = patience
        self._id = hashlib.sha256(body).hexdigest()
        # Index and key of what was taken, and whose outcome did not come with the answer.
        self.open: list[tuple[int, str]] = []

    def __call__(self, at_once: int) -> Iterator[Came | None]:
        """Send all of them, `at_once` at a time; of each the outcome if it is known then. `SinkDown` ends it."""
        return _at_once(self._ask, enumerate(self._entries), at_once)

    def _ask(self, numbered: tuple[int, Entry]) -> Came | None:
        index, entry = numbered
        request = from_message(SOURCE, self._id, index, len(self._entries), entry.received)
        return refused(request, entry.faults) if entry.faults else self._sent(request)

    def _sent(self, request: Request) -> Came | None:
        event = requested(request, Batch(self._id, len(self._entries)))
        deadline = time.monotonic() + self._patience
        while (answer := self._sink.ask(event)).status in LATER and time.monotonic() < deadline:
            time.sleep(PAUSE)
        if not 200 <= answer.status < 300:
            said = answer.data.decode("utf-8", "replace").strip()[:200]
            return Came(request.index, refusal=f"not taken, answered {answer.status}" + (f": {said}" if said else ""))
        if media_type({"content-type": answer.headers.get("Content-Type", "")}) == STRUCTURED:
            outcome = decode_json(answer.data)
            if isinstance(outcome, dict) and outcome.get("type") in (IMAGE_COMPLETED, IMAGE_FAILED):
                return Came(request.index, outcome)
        self.open.append((request.index, request.key))
        return None


def _at_once(work: Callable[[T], R], items: Iterator[T], count: int) -> Iterator[R]:
    """What `work` gives for each item, as it comes; no more items are taken than are worked on."""
    with ThreadPoolExecutor(count) as workers:
        running: set[Future[R]] = {workers.submit(work, item) for item in islice(items, count)}
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for one in done:
                yield one.result()
                running |= {workers.submit(work, item) for item in islice(items, 1)}
