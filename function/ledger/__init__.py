"""The ledger: who may render a request, and how it ended, kept in object storage alone.

One request through a death and an outage, time going to the right:

    claims/<key>/1      created ─ beat ─ beat ─ ✗  killed; silent for a lease: dead
    claims/<key>/2                                 created ─ beat ─ {ended: StoreDown}  not to blame: uncounted
    claims/<key>/3                                                  created ─ beat ─┬─ {ended: committed}
    records/<key>.json                                                              created, for ever

Create-if-absent by a single PUT is the only primitive. Whoever creates claim n owns attempt n; n + 1 may be created
once n is over (`attempts.State`). Death is judged by the store's clock alone. A dead attempt may wake up and still
commit: the first record wins. Where the answer to a PUT was lost, what is there now is compared with what was to be
there: a claim by its owner, which is another UUID for each attempt; a record needs no comparison, for it counts
whoever wrote it.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal

from events.envelope import encode_json
from events.outcome import Outcome
from events.request import Request
from function import layout
from function.errors import (
    AccessDenied,
    BucketMissing,
    DarkroomError,
    InProgress,
    PromptMismatch,
    StoreDown,
    of_the_machine,
)
from function.ledger import records
from function.ledger.attempts import COMMITTED, CRASHED, LOOKS, Attempt, Pulse, State
from function.ledger.records import Record
from function.store import ObjectStore, Stored

__all__ = ["MAX_ATTEMPTS", "MAX_COUNTED", "Attempt", "Claim", "Ledger"]

MAX_COUNTED: Final = 3
MAX_ATTEMPTS: Final = 32


@dataclass(slots=True)
class Claim:
    """The right to render a request: attempt `number`, which beats for as long as `Ledger.claim` holds it.

    `commit` records an outcome and returns the one that counts. `found` is what another attempt committed in the
    meantime; `exhausted` says that too many attempts died, so that this one may only commit that fact.
    """

    number: int
    commit: Callable[[Outcome], Outcome]
    exhausted: bool = False
    found: Outcome | None = None


class Ledger:
    """Claims and records in the image bucket; `lease` and `beat` in seconds, `told_by` says how outcomes are told.

    `beats` is the same bucket, by a client that gives up within a beat: one that hangs would outlive the lease. A claim
    that may still be created is looked for `looks` times, a beat apart.
    """

    def __init__(
        self,
        store: ObjectStore,
        beats: ObjectStore | None = None,
        *,
        lease: float = 30,
        beat: float = 10,
        told_by: Literal["reply", "sink"] = "reply",
        looks: int = LOOKS,
    ) -> None:
        self.store = store
        self.lease = lease
        self.told_by = told_by
        self._beats = beats or store
        self._beat = beat
        self._looks = looks

    def outcome(self, request: Request) -> Outcome | None:
        """The recorded outcome, None if there is none yet; `PromptMismatch` if it is another prompt's."""
        record = records.read(self.store, request.key)
        if record is None:
            return None
        if record.prompt_hash != request.prompt_hash:
            raise PromptMismatch
        return record.outcome

    def gone(self, request: Request) -> Outcome | None:
        """What is recorded of a request whose prompt can no longer be read; `InProgress` if it is being rendered."""
        record = records.read(self.store, request.key)
        if record is not None:
            return record.outcome
        if any(self.alive(attempt) for attempt in self.attempts(request.key)):
            raise InProgress
        return None

    def commit(self, request: Request, outcome: Outcome) -> Outcome:
        """Record `outcome` unless one is recorded, and return the recorded one. This is the commit point."""
        record = Record(request, request.prompt_hash, self.told_by, outcome)
        missing = StoreDown("object storage said that a record exists and then did not find it")
        try:
            if self.store.create(layout.record(request.key), record.encode()):
                return outcome
        except StoreDown as error:
            # It may be there, with the answer lost on its way.
            missing = error
        # It may be our own or another's; either way, what is there counts.
        recorded = self.outcome(request)
        if recorded is None:
            raise missing
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
        claim, pulse = self._take(request)
        if pulse is None:
            yield claim
            return
        reason, counts = COMMITTED, False
        try:
            pulse.start()
            claim.found = self.outcome(request)
            yield claim
        except DarkroomError as error:
            reason, counts = type(error).__name__, error.counts
            raise
        except BaseException as error:
            reason, counts = CRASHED, not of_the_machine(error)
            raise
        finally:
            pulse.end(reason, counts=counts)

    def attempts(self, key: str) -> Iterator[Attempt]:
        """Every attempt at the request, in order."""
        for number in range(1, MAX_ATTEMPTS + 2):
            stored = self.store.read(layout.claim(key, number))
            if stored is None:
                return
            yield Attempt.of(stored)

    def state(self, attempt: Attempt) -> State:
        return attempt.state(self.lease)

    def alive(self, attempt: Attempt) -> bool:
        return self.state(attempt) is State.RUNNING

    def _take(self, request: Request) -> tuple[Claim, Pulse | None]:
        """The claim, and the pulse of the attempt that was created for it, if one was."""
        body = {"owner": uuid.uuid4().hex, "prompt_hash": request.prompt_hash}
        counted = 0
        for number in range(1, MAX_ATTEMPTS + 2):
            exhausted = counted >= MAX_COUNTED or number > MAX_ATTEMPTS
            claim = Claim(number, lambda outcome: self.commit(request, outcome), exhausted)
            pulse = Pulse(self._beats, request.key, number, body, beat=self._beat, looks=self._looks)
            try:
                stored = self._create(layout.claim(request.key, number), body)
            except (AccessDenied, BucketMissing):
                raise
            except StoreDown as error:
                # Created or not, nobody will hold it.
                pulse.disown(type(error).__name__)
                raise
            there = Attempt.of(stored) if stored else None
            if there is None or there.owner == body["owner"]:
                # Created; where it is there already, our answer was lost and the client's next try met our own object.
                return claim, pulse
            if there.prompt_hash != request.prompt_hash:
                raise PromptMismatch
            state = self.state(there)
            if state is State.RUNNING:
                raise InProgress
            if state is State.COMMITTED and (found := self.outcome(request)):
                # Its record came between our look at the records and ours at the claims.
                claim.found = found
                return claim, None
            counted += state.counts
        # All are over and the last did not get to say so; to say it needs no claim, for the first record wins.
        return claim, None

    def _create(self, name: str, body: dict[str, str]) -> Stored | None:
        """None if this created the claim, else what is there."""
        if self.store.create(name, encode_json(body)):
            return None
        stored = self.store.read(name)
        if stored is None:
            # Swept away this moment, so there is a record; the next delivery finds it.
            raise InProgress
        return stored
