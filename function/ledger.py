"""The ledger: who may render a request, and how it ended, kept in object storage alone.

    claims/<key>/1 ──create──┬─ beat ─ beat ─ beat ─┬─ records/<key>.json ──create──► the outcome, for ever
                             │                      └─ {ended: committed}
                             ├─ silent for a lease ─────────► dead: claims/<key>/2 may be created, and so on
                             └─ {ended: StoreDown, …} ──────► ended: the same, at once

Create-if-absent by a single PUT is the only primitive. A dead attempt may wake up and still commit: the first
record wins. Whether an attempt is dead is judged by the store's clock alone.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal

import structlog

from events.envelope import decode_json, encode_json
from events.outcome import Outcome
from events.request import Request
from function import layout
from function.errors import DarkroomError, InProgress, PromptMismatch, StoreDown
from function.store import ObjectStore, Stored

MAX_COUNTED: Final = 3
MAX_ATTEMPTS: Final = 32
END_TRIES: Final = 10
COMMITTED: Final = "committed"
CRASHED: Final = "crashed"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Attempt:
    """A claim as its object tells it; `ended` is None while it runs, or once it is dead."""

    owner: str
    prompt_hash: str
    ended: str | None
    counts: bool
    age: float

    @classmethod
    def of(cls, stored: Stored) -> Attempt:
        body = _object(stored.body)
        ended = body.get("ended")
        # An attempt without an end has died, or will have when its lease is over.
        counts = bool(body.get("counts")) if ended else True
        return cls(str(body.get("owner")), str(body.get("prompt_hash")), ended, counts, stored.age)


class Claim:
    """The right to render a request, for as long as it beats.

    `found` is the outcome that another attempt committed in the meantime; `exhausted` says that too many attempts
    died, so that this one may only commit that fact.
    """

    def __init__(
        self,
        ledger: Ledger,
        request: Request,
        number: int,
        owner: str,
        *,
        exhausted: bool = False,
        found: Outcome | None = None,
    ) -> None:
        self.number = number
        self.exhausted = exhausted
        self.found = found
        self._ledger = ledger
        self._request = request
        self._body = {"owner": owner, "prompt_hash": request.prompt_hash}
        self._ending: dict[str, Any] = {}
        self._over = threading.Event()
        self._beating = threading.Thread(target=self._beat, name=f"beat-{request.key[:8]}", daemon=True)

    def commit(self, outcome: Outcome) -> Outcome:
        """Record `outcome` and return the one that counts: this, or what was recorded before."""
        return self._ledger.commit(self._request, outcome)

    def start(self) -> None:
        self._beating.start()

    def end(self, reason: str, *, counts: bool) -> None:
        """Say why the attempt ended; waits a beat for the store, then goes on trying in the background."""
        self._ending = {"ended": reason, "counts": counts}
        self._over.set()
        self._beating.join(self._ledger.beat)

    def _beat(self) -> None:
        while not self._over.wait(self._ledger.beat):
            self._write({})
        # Without its end an attempt counts as dead, which an outage of the store must not make of it.
        pause = threading.Event()
        for _ in range(END_TRIES):
            if self._write(self._ending):
                return
            pause.wait(self._ledger.beat)

    def _write(self, more: dict[str, Any]) -> bool:
        name = layout.claim(self._request.key, self.number)
        try:
            self._ledger.beats.write(name, encode_json(self._body | more))
        except StoreDown as error:
            log.warning("claim.not_written", key=self._request.key, attempt=self.number, error=str(error), **more)
            return False
        return True


class Ledger:
    """Claims and records in the image bucket; `lease` and `beat` in seconds, `told_by` says how outcomes are told.

    `beats` is the same bucket, by a client that gives up within a beat: one that hangs would outlive the lease.
    """

    def __init__(
        self,
        store: ObjectStore,
        beats: ObjectStore | None = None,
        *,
        lease: float = 30,
        beat: float = 10,
        told_by: Literal["reply", "sink"] = "reply",
    ) -> None:
        self.store = store
        self.beats = beats or store
        self.lease = lease
        self.beat = beat
        self.told_by = told_by

    def outcome(self, request: Request) -> Outcome | None:
        """The recorded outcome, None if there is none yet; `PromptMismatch` if it is another prompt's."""
        stored = self.store.read(layout.record(request.key))
        if stored is None:
            return None
        record = _object(stored.body)
        if record.get("prompt_hash") != request.prompt_hash:
            raise PromptMismatch
        return Outcome(record["outcome"])

    def gone(self, request: Request) -> Outcome | None:
        """What is recorded of a request whose prompt can no longer be read; `InProgress` if it is being rendered."""
        stored = self.store.read(layout.record(request.key))
        if stored is not None:
            return Outcome(_object(stored.body)["outcome"])
        if any(self.alive(attempt) for attempt in self.attempts(request.key)):
            raise InProgress
        return None

    def commit(self, request: Request, outcome: Outcome) -> Outcome:
        """Record `outcome` unless one is recorded, and return the recorded one. This is the commit point."""
        record = {
            "version": 1,
            "key": request.key,
            "request": {
                "source": request.source,
                "id": request.id,
                "prompt": request.received,
                "object": request.object.as_data() if request.object else None,
                "index": request.index,
                "context": dict(request.context),
            },
            "prompt_hash": request.prompt_hash,
            "told_by": self.told_by,
            "outcome": dict(outcome.event),
        }
        if self.store.create(layout.record(request.key), encode_json(record)):
            return outcome
        # It may be our own after a lost answer; either way, what is there counts.
        recorded = self.outcome(request)
        if recorded is None:
            raise StoreDown("object storage said that a record exists and then did not find it")
        return recorded

    def commit_unclaimed(self, request: Request, outcome: Outcome) -> Outcome:
        """Record an outcome that needs no render, unless another prompt under this key is being rendered."""
        first = self.store.read(layout.claim(request.key, 1))
        if first is not None and Attempt.of(first).prompt_hash != request.prompt_hash:
            raise PromptMismatch
        return self.commit(request, outcome)

    @contextmanager
    def claim(self, request: Request) -> Iterator[Claim]:
        """Hold the right to render `request`; `InProgress` while another attempt holds it."""
        claim = self._take(request)
        if claim.found:
            yield claim
            return
        claim.start()
        reason, counts = COMMITTED, False
        try:
            claim.found = self.outcome(request)
            yield claim
        except DarkroomError as error:
            reason, counts = type(error).__name__, error.counts
            raise
        except BaseException:
            reason, counts = CRASHED, True
            raise
        finally:
            claim.end(reason, counts=counts)

    def attempts(self, key: str) -> Iterator[Attempt]:
        """Every attempt at the request, in order."""
        for number in range(1, MAX_ATTEMPTS + 2):
            stored = self.store.read(layout.claim(key, number))
            if stored is None:
                return
            yield Attempt.of(stored)

    def alive(self, attempt: Attempt) -> bool:
        return attempt.ended is None and attempt.age <= self.lease

    def _take(self, request: Request) -> Claim:
        owner = uuid.uuid4().hex
        body = encode_json({"owner": owner, "prompt_hash": request.prompt_hash})
        counted = 0
        for number in range(1, MAX_ATTEMPTS + 2):
            name = layout.claim(request.key, number)
            exhausted = counted >= MAX_COUNTED or number > MAX_ATTEMPTS
            if self.store.create(name, body):
                return Claim(self, request, number, owner, exhausted=exhausted)
            stored = self.store.read(name)
            if stored is None:
                # Swept away this moment, so there is a record; the next delivery finds it.
                raise InProgress
            attempt = Attempt.of(stored)
            if attempt.prompt_hash != request.prompt_hash:
                raise PromptMismatch
            if attempt.owner == owner:
                # The answer to our PUT was lost and the retry met our own object.
                return Claim(self, request, number, owner, exhausted=exhausted)
            if self.alive(attempt):
                raise InProgress
            if attempt.ended == COMMITTED and (found := self.outcome(request)):
                # Its record came between our look at the records and ours at the claims.
                return Claim(self, request, number, owner, found=found)
            counted += attempt.counts
        # All are over and the last did not get to say so; to say it needs no claim, for the first record wins.
        return Claim(self, request, MAX_ATTEMPTS + 1, owner, exhausted=True)


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = decode_json(body)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise StoreDown("object storage holds something else where the ledger keeps a JSON object")
    return value
