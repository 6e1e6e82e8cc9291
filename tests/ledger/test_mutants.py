"""Ledgers and stores with one rule broken: the scenario that guards the rule tells each of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pytest

from events.envelope import encode_json
from events.outcome import Outcome
from events.request import Request
from function import layout
from function.ledger import Claim, Ledger
from function.ledger.attempts import Attempt, State
from function.store import JSON, Stored
from tests.fakes import Clock, MemoryStore
from tests.ledger import scenarios
from tests.ledger.stage import Stage, memory_stage


class Unconditional(MemoryStore):
    """Creates under `prefix` what is there already."""

    prefix = ""

    def create(
        self, key: str, body: bytes, content_type: str = JSON, metadata: Mapping[str, str] | None = None
    ) -> bool:
        if key.startswith(self.prefix):
            self.delete(key)
        return super().create(key, body, content_type, metadata)


class ClaimsUnconditional(Unconditional):
    prefix = layout.CLAIMS


class RecordsUnconditional(Unconditional):
    prefix = layout.RECORDS


class ImagesUnconditional(Unconditional):
    prefix = layout.IMAGES


class Edited(MemoryStore):
    """Writes claims in other words; None is not written at all."""

    def edit(self, claim: dict[str, object]) -> dict[str, object] | None:
        return claim

    def write(self, key: str, body: bytes, content_type: str = JSON) -> None:
        claim = self.edit(json.loads(body))
        if claim is not None:
            super().write(key, encode_json(claim), content_type)


class EndsNotWritten(Edited):
    def edit(self, claim: dict[str, object]) -> dict[str, object] | None:
        return None if "ended" in claim else claim


class BeatsNotWritten(Edited):
    def edit(self, claim: dict[str, object]) -> dict[str, object] | None:
        return claim if "ended" in claim else None


class NoEndCounts(Edited):
    def edit(self, claim: dict[str, object]) -> dict[str, object] | None:
        return claim | {"counts": False}


class EveryEndCounts(Edited):
    def edit(self, claim: dict[str, object]) -> dict[str, object] | None:
        return claim | {"counts": True}


class OwnersForgotten(MemoryStore):
    def read(self, key: str, version: str | None = None, limit: int | None = None) -> Stored | None:
        stored = super().read(key, version, limit)
        if stored is None or not key.startswith(layout.CLAIMS):
            return stored
        return replace(stored, body=encode_json(json.loads(stored.body) | {"owner": "somebody"}))


class ClaimsOfAnyPrompt(MemoryStore):
    """Shows every claim as one of the prompt that was written last."""

    last: object = None

    def create(
        self, key: str, body: bytes, content_type: str = JSON, metadata: Mapping[str, str] | None = None
    ) -> bool:
        self.last = json.loads(body)["prompt_hash"]
        return super().create(key, body, content_type, metadata)

    def read(self, key: str, version: str | None = None, limit: int | None = None) -> Stored | None:
        stored = super().read(key, version, limit)
        if stored is None or not key.startswith(layout.CLAIMS):
            return stored
        return replace(stored, body=encode_json(json.loads(stored.body) | {"prompt_hash": self.last}))


class NeverDead(Ledger):
    def state(self, attempt: Attempt) -> State:
        state = super().state(attempt)
        return State.RUNNING if state is State.DEAD else state


class NeverAlive(Ledger):
    def state(self, attempt: Attempt) -> State:
        state = super().state(attempt)
        return State.DEAD if state is State.RUNNING else state


class CommittedForEver(Ledger):
    """Takes an attempt that committed for one that still runs."""

    def state(self, attempt: Attempt) -> State:
        state = super().state(attempt)
        return State.RUNNING if state is State.COMMITTED else state


class RecordsOfAnyPrompt(Ledger):
    def outcome(self, request: Request) -> Outcome | None:
        stored = self.store.read(layout.record(request.key))
        return Outcome(json.loads(stored.body)["outcome"]) if stored else None


class NotReadAgain(Ledger):
    @contextmanager
    def claim(self, request: Request) -> Iterator[Claim]:
        with super().claim(request) as claim:
            claim.found = None
            yield claim


class OwnOutcomeWins(Ledger):
    """Answers what was rendered last, whatever the record says."""

    def commit(self, request: Request, outcome: Outcome) -> Outcome:
        super().commit(request, outcome)
        return outcome


class RecordsOverClaims(Ledger):
    def commit_unclaimed(self, request: Request, outcome: Outcome) -> Outcome:
        return self.commit(request, outcome)


@dataclass(frozen=True)
class Mutant:
    """What is broken, and a scenario that shows it."""

    broken: type[MemoryStore | Ledger]
    shown_by: Callable[[Stage], None]


MUTANTS = [
    Mutant(ClaimsUnconditional, scenarios.a_running_attempt_excludes_others),
    Mutant(ClaimsUnconditional, scenarios.of_two_racers_one_wins),
    Mutant(RecordsUnconditional, scenarios.commit_and_replay),
    Mutant(RecordsUnconditional, scenarios.the_first_record_wins),
    Mutant(RecordsUnconditional, scenarios.a_zombie_comes_too_late),
    Mutant(RecordsUnconditional, scenarios.a_record_without_claim_is_the_first_one),
    Mutant(ImagesUnconditional, scenarios.an_image_that_is_there_counts),
    Mutant(ImagesUnconditional, scenarios.another_prompts_image_is_refused),
    Mutant(EndsNotWritten, scenarios.an_end_frees_at_once),
    Mutant(BeatsNotWritten, scenarios.beats_keep_an_attempt_alive),
    Mutant(NoEndCounts, scenarios.only_deaths_count),
    Mutant(NoEndCounts, scenarios.an_exhausted_request_stays_so),
    Mutant(EveryEndCounts, scenarios.only_deaths_count),
    Mutant(OwnersForgotten, scenarios.an_owner_knows_its_claim_again),
    Mutant(ClaimsOfAnyPrompt, scenarios.another_prompt_meets_the_claim),
    Mutant(NeverDead, scenarios.a_silent_attempt_is_taken_over),
    Mutant(NeverDead, scenarios.only_deaths_count),
    Mutant(NeverAlive, scenarios.a_running_attempt_excludes_others),
    Mutant(NeverAlive, scenarios.of_two_racers_one_wins),
    Mutant(RecordsOfAnyPrompt, scenarios.another_prompt_meets_the_record),
    Mutant(NotReadAgain, scenarios.what_was_committed_in_between_is_found),
    Mutant(NotReadAgain, scenarios.what_a_dead_attempt_committed_is_found),
    Mutant(NotReadAgain, scenarios.what_a_spared_attempt_committed_is_found),
    Mutant(CommittedForEver, scenarios.a_record_that_an_operator_deleted_may_be_made_again),
    Mutant(OwnOutcomeWins, scenarios.the_first_record_wins),
    Mutant(OwnOutcomeWins, scenarios.a_zombie_comes_too_late),
    Mutant(RecordsOverClaims, scenarios.a_record_without_claim_waits_for_another_prompts_claim),
]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant.broken.__name__}-{mutant.shown_by.__name__}")
def test_mutant_is_caught(mutant: Mutant) -> None:
    clock = Clock()
    if issubclass(mutant.broken, Ledger):
        stage = memory_stage(MemoryStore(clock=clock), clock, mutant.broken)
    else:
        stage = memory_stage(mutant.broken(clock=clock), clock)
    with pytest.raises(AssertionError):
        mutant.shown_by(stage)
