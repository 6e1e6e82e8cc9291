"""Harness M: histories of one request that nobody thought of, on a store in memory whose time stands still.

Each delivery is a process with a ledger of its own: it looks at the record, later takes the claim, beats, commits, and
ends one way or another, or is killed. The model knows no more than what befell each attempt, and the first record.
"""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from events.outcome import Outcome
from function import layout
from function.errors import AccessDenied, Busy, DarkroomError, Draining, GpuLost, InProgress, SinkDown, StoreDown
from function.errors import PromptMismatch as Mismatch
from function.ledger import MAX_ATTEMPTS, MAX_COUNTED, Claim, Ledger
from function.store import JSON
from tests.fakes import Clock, MemoryStore
from tests.ledger.stage import LONG, drawn, new_request, refused

LEASE = 4
DELIVERIES = 4

# The next call fails; or is done, and its answer lost; or is done, and done again by the client itself.
troubles = st.sampled_from([None, None, None, StoreDown, AccessDenied, "answer lost", "repeated"])
ends = st.sampled_from([None, Draining, StoreDown, SinkDown, Busy, GpuLost, Mismatch, RuntimeError])
which = st.integers(0, DELIVERIES)


class Line:
    """The store as a process reaches it for its beats and its end: once it is cut, nothing arrives."""

    def __init__(self, store: MemoryStore) -> None:
        self.cut = False
        self.read = store.read
        self._write = store.write

    def write(self, key: str, body: bytes, content_type: str = JSON) -> None:
        if not self.cut:
            self._write(key, body, content_type)


@dataclass
class Tried:
    """What befell an attempt; `lapsed` once it was silent for longer than the lease."""

    written: float
    running: bool = True
    counts: bool = False
    lapsed: bool = False

    def silent(self, now: float) -> bool:
        return self.running and now - self.written > LEASE


@dataclass
class Holder:
    """A process that holds a claim."""

    entered: AbstractContextManager[Claim]
    claim: Claim
    line: Line
    tried: Tried
    beating: set[threading.Thread] = field(default_factory=set)


class LedgerMachine(RuleBasedStateMachine):
    """One request, and all that may befall its deliveries."""

    ledger_kind: ClassVar[type[Ledger]] = Ledger
    store_kind: ClassVar[type[MemoryStore]] = MemoryStore

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.store = self.store_kind(clock=self.clock)
        self.request = new_request("a red star")
        self.other = new_request("a blue star", self.request.id)
        self.record: Outcome | None = None
        self.tried: dict[int, Tried] = {}
        self.holders: list[Holder] = []
        self.looked = 0
        self.outcomes = 0
        self.now = 0.0

    @precondition(lambda self: len(self.holders) + self.looked < DELIVERIES)
    @rule()
    def look(self) -> None:
        found = self.ledger().outcome(self.request)
        assert found == self.record, "the record is not the first one"
        self.looked += found is None

    @precondition(lambda self: self.looked)
    @rule(trouble=troubles)
    def claim(self, trouble: object) -> None:
        self.looked -= 1
        running, deaths, number = self.someone_runs(), self.deaths(), len(self.tried) + 1
        line = Line(self.store)
        entered = self.ledger(line).claim(self.request)
        before = self.pulses()
        try:
            self.befall(trouble)
            claim = entered.__enter__()
        except (InProgress, StoreDown) as error:
            self.calm(before)
            self.not_granted(error, trouble, number, running=running)
            return
        self.calm(self.pulses())
        assert claim.found == self.record, "what is recorded was not found"
        if claim.number in self.tried:
            assert self.record, "an attempt that is another's"
            entered.__exit__(None, None, None)
            return
        assert not running, "two at a time"
        assert claim.number == number, "an attempt was left out"
        assert claim.exhausted == (deaths >= MAX_COUNTED or number > MAX_ATTEMPTS), f"exhausted after {deaths} deaths?"
        self.tried[number] = Tried(self.now)
        self.holders.append(Holder(entered, claim, line, self.tried[number], self.pulses() - before))

    def not_granted(self, error: DarkroomError, trouble: object, number: int, *, running: bool) -> None:
        if isinstance(error, InProgress):
            assert running, "refused, and nobody runs"
            return
        assert trouble, "a store that did as it was asked"
        if self.store.read(layout.claim(self.request.key, number)):
            # Created, and nobody was told: whoever asked for it ends it.
            self.tried[number] = Tried(self.now, running=False)

    @precondition(lambda self: self.holders)
    @rule(which=which, trouble=troubles)
    def commit(self, which: int, trouble: object) -> None:
        self.outcomes += 1
        outcome = drawn(self.request, float(self.outcomes))
        self.befall(trouble)
        try:
            counts = self.holder(which).claim.commit(outcome)
        except StoreDown:
            assert trouble, "a store that did as it was asked"
            if trouble == "answer lost" and self.record is None:
                self.record = outcome
            return
        finally:
            self.calm(self.pulses())
        self.record = self.record or outcome
        assert counts == self.record, "the first record did not win"

    @precondition(lambda self: self.holders)
    @rule(which=which)
    def beat(self, which: int) -> None:
        holder = self.holder(which)
        name = layout.claim(self.request.key, holder.claim.number)
        stored = self.store.read(name)
        assert stored, "a claim is lost"
        self.store.write(name, stored.body)
        holder.tried.written = self.now

    @precondition(lambda self: self.holders)
    @rule(which=which, kind=ends)
    def end(self, which: int, kind: type[Exception] | None) -> None:
        holder = self.holder(which)
        self.leave(holder, kind() if kind else None)
        holder.tried.running = False
        holder.tried.counts = kind in (GpuLost, RuntimeError)

    @precondition(lambda self: self.holders)
    @rule(which=which)
    def killed(self, which: int) -> None:
        holder = self.holder(which)
        holder.line.cut = True
        self.leave(holder, RuntimeError())

    @rule(seconds=st.sampled_from([1, LEASE, LEASE + 1]))
    def time_passes(self, seconds: int) -> None:
        self.clock.move(seconds)
        self.now += seconds
        for tried in self.tried.values():
            tried.lapsed |= tried.silent(self.now)

    @precondition(lambda self: self.tried or self.record)
    @rule()
    def another_prompt(self) -> None:
        ledger = self.ledger()
        if self.record:
            with refused(Mismatch):
                ledger.outcome(self.other)
            with refused(Mismatch):
                ledger.commit(self.other, drawn(self.other))
        if self.tried:
            with refused(Mismatch), ledger.claim(self.other):
                pass
        with refused(Mismatch):
            ledger.commit_unclaimed(self.other, drawn(self.other))

    @precondition(lambda self: self.record and not self.holders)
    @rule()
    def sweep(self) -> None:
        """A day later: no delivery that looked before is still about."""
        self.looked = 0
        self.tried.clear()
        for listed in self.store.list(layout.CLAIMS):
            self.store.delete(listed.key)

    @precondition(lambda self: self.record)
    @rule()
    def operator_deletes_the_record(self) -> None:
        self.record = None
        self.store.delete(layout.record(self.request.key))

    @invariant()
    def one_record(self) -> None:
        assert self.ledger().outcome(self.request) == self.record, "the first record is not there, or changed"
        assert len(list(self.store.list(layout.RECORDS))) == bool(self.record)

    @invariant()
    def one_at_a_time(self) -> None:
        assert sum(not holder.tried.lapsed for holder in self.holders) <= 1, "two hold the claim, and none was silent"

    def teardown(self) -> None:
        for holder in list(self.holders):
            self.leave(holder, None)

    def ledger(self, line: Line | None = None) -> Ledger:
        return self.ledger_kind(self.store, line, lease=LEASE, beat=LONG, looks=1)  # type: ignore[arg-type]  # reads and writes

    def someone_runs(self) -> bool:
        return any(tried.running and not tried.silent(self.now) for tried in self.tried.values())

    def deaths(self) -> int:
        return sum(tried.counts or tried.silent(self.now) for tried in self.tried.values())

    def holder(self, which: int) -> Holder:
        return self.holders[which % len(self.holders)]

    def leave(self, holder: Holder, error: Exception | None) -> None:
        self.holders.remove(holder)
        holder.entered.__exit__(type(error) if error else None, error, None)

    def befall(self, trouble: object) -> None:
        if trouble in ("answer lost", "repeated"):
            self.store.lose_answers(1, StoreDown("reset") if trouble == "answer lost" else None)
        elif isinstance(trouble, type) and issubclass(trouble, StoreDown):
            self.store.fail_next(1, trouble())

    def calm(self, running: set[threading.Thread]) -> None:
        """No trouble is left over, and nobody but `running` is at work in the background."""
        self.store.fail_next(0, StoreDown())
        self.store.lose_answers(0, None)
        for pulse in self.pulses() - running:
            pulse.join(10)

    def pulses(self) -> set[threading.Thread]:
        name = f"pulse-{self.request.key[:8]}"
        return {thread for thread in threading.enumerate() if thread.name == name}
