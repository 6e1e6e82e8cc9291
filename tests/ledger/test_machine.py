"""Harness M, and broken ledgers and stores that it must tell."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from function.ledger import Ledger
from tests.fakes import MemoryStore
from tests.ledger import test_mutants as broken
from tests.ledger.machine import LedgerMachine
from tests.sizing import sized

HISTORIES = sized(400, 10_000)

playing = settings(
    max_examples=HISTORIES,
    stateful_step_count=40,
    deadline=None,
    database=None,
    derandomize=sized(slice_=True, full=False),
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.chaos
def test_no_history_breaks_the_ledger() -> None:
    run_state_machine_as_test(LedgerMachine, settings=playing)
    print(f"\n{HISTORIES} histories of up to 40 steps")


# What the machine says of each, which must be what is broken and not that the machine itself is.
MUTANTS: dict[type[MemoryStore | Ledger], str] = {
    broken.ClaimsUnconditional: "nothing raised PromptMismatch|two at a time",
    broken.RecordsUnconditional: "the first record did not win",
    broken.OwnersForgotten: "refused, and nobody runs",
    broken.EveryEndCounts: "exhausted after 0 deaths",
    broken.NoEndCounts: "exhausted after 3 deaths",
    broken.EndsNotWritten: "refused, and nobody runs",
    broken.NeverDead: "refused, and nobody runs",
    broken.NeverAlive: "two at a time",
    broken.NotReadAgain: "what is recorded was not found",
    broken.OwnOutcomeWins: "the first record did not win",
    broken.RecordsOfAnyPrompt: "nothing raised PromptMismatch",
    broken.RecordsOverClaims: "nothing raised PromptMismatch",
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_mutant_is_found(mutant: type[MemoryStore | Ledger]) -> None:
    class Broken(LedgerMachine):
        ledger_kind = mutant if issubclass(mutant, Ledger) else Ledger
        store_kind = mutant if issubclass(mutant, MemoryStore) else MemoryStore

    found = settings(playing, max_examples=1000, derandomize=True, phases=[Phase.generate], print_blob=False)
    with pytest.raises(AssertionError, match=MUTANTS[mutant]):
        run_state_machine_as_test(Broken, settings=found)
