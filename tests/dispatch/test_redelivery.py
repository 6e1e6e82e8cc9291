"""Redelivery storms, lost answers and renders as slow as may be, by both of Knative's dispatchers."""

from __future__ import annotations

import pytest

from tests.dispatch import scenarios
from tests.dispatch.stage import Stage
from tests.servers.dispatchers import BOTH, DELIVERY, Dispatcher
from tests.sizing import sized

pytestmark = pytest.mark.chaos

EACH = pytest.mark.parametrize("dispatcher", BOTH, ids=lambda dispatcher: dispatcher.name)


@EACH
def test_a_storm_of_redeliveries_is_one_render_each_and_no_dead_letter(stage: Stage, dispatcher: Dispatcher) -> None:
    print("\n" + scenarios.storm(stage, dispatcher, events=sized(12, 2000), copies=5))


@EACH
def test_a_lost_answer_is_told_again_and_nothing_is_drawn_again(stage: Stage, dispatcher: Dispatcher) -> None:
    print("\n" + scenarios.answers_lost(stage, dispatcher, events=sized(6, 1000)))


@EACH
def test_the_slowest_render_and_its_duplicate_fit_into_the_retries(stage: Stage, dispatcher: Dispatcher) -> None:
    print("\n" + scenarios.slowest_render(stage, dispatcher, factor=sized(150, 100)))


@EACH
def test_three_retries_lose_what_is_being_drawn(stage: Stage, dispatcher: Dispatcher) -> None:
    with pytest.raises(AssertionError, match=r"given up after (7|14) s: \(409, 409, 409, 409\)") as lost:
        scenarios.slowest_render(stage, dispatcher, {**DELIVERY, "retry": 3}, factor=sized(150, 100))
    print(f"\n{dispatcher.name}, retry 3: {lost.value}".splitlines()[1])
