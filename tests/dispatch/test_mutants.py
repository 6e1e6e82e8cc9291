"""Programs that break one promise to the dispatcher: the scenario that guards the promise tells each of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pytest

from tests.dispatch import mutants, scenarios
from tests.dispatch.stage import Stage
from tests.servers.dispatchers import GO, KAFKA

storm = partial(scenarios.storm, events=10, copies=4)
answers_lost = partial(scenarios.answers_lost, events=6)
slowest_render = partial(scenarios.slowest_render, factor=200)


@dataclass(frozen=True)
class Case:
    """A mutant, a scenario that catches it, and what that says."""

    mutant: type[mutants.Mutant]
    caught_by: Callable[..., Any]
    saying: str


CASES = [
    Case(mutants.AnswersBeforeItRecorded, answers_lost, "never told"),
    Case(mutants.RefusesWhatIsInProgress, slowest_render, "given up after 0 s"),
    Case(mutants.AcceptsWhatIsInProgress, slowest_render, "duplicate was not told"),
    Case(mutants.TellsOnlyOnce, answers_lost, "never told"),
    Case(mutants.TellsEachTimeAnew, storm, "two outcomes of one request"),
    Case(mutants.KnowsNoDuplicate, storm, "two outcomes of one request"),
    Case(mutants.DrawsTwice, storm, "not drawn once"),
    Case(mutants.ChatsWithTheDispatcher, storm, "dead letters"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.mutant.__name__)
def test_mutant_is_caught(stage: Stage, case: Case) -> None:
    program = ("-m", "tests.dispatch.mutants", case.mutant.__name__)
    with pytest.raises(AssertionError, match=case.saying):
        case.caught_by(replace(stage, program=program), KAFKA)


def test_the_mutant_that_changes_nothing_is_not_caught(stage: Stage) -> None:
    harmless = replace(stage, program=("-m", "tests.dispatch.mutants", mutants.Harmless.__name__))
    for dispatcher, scenario in ((GO, storm), (KAFKA, answers_lost)):
        scenario(harmless, dispatcher)
