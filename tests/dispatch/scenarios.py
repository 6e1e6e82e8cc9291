"""What a dispatcher puts `darkroom render` through; each scenario ends in an AssertionError where it is broken."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from events import IMAGE_REQUESTED
from tests.dispatch.stage import Stage, Told, requested, settle
from tests.servers.broker import Broker, Hazard
from tests.servers.dispatchers import DELIVERY, DeliverySpec, Dispatcher
from tests.servers.event import Event

# Seconds that a render may take, as the settings have it.
RENDER_LIMIT: Final = 540.0
PATIENCE: Final = 600.0


def storm(stage: Stage, dispatcher: Dispatcher, *, events: int, copies: int, factor: float = 100) -> str:
    """Every event is delivered `copies` times, some at once and some much later: one render each, every copy told."""
    names = [f"star {number}" for number in range(events)]
    with stage.pods(2, seconds=0.05) as pods, Broker(dispatcher, factor=factor) as broker:
        broker.trigger(IMAGE_REQUESTED, *pods.urls, at_once=1)
        began = time.monotonic()
        settle(broker, redelivered(names, copies), PATIENCE)
        seconds = time.monotonic() - began
        assert not broker.dead, f"{len(broker.dead)} dead letters, such as {broker.dead[0]}"
        told = Told.by_replies(broker)
        told.check(names)
        pods.check_renders(names)
        assert told.count == events * copies, "not every delivery told"
        answers = Counter(answer for each in broker.settled for answer in each.answers)
        assert answers[409] + answers[429], "nothing had to be sent again"
    return (
        f"{dispatcher.name}: {events * copies} deliveries of {events} events in {seconds:.1f} s, {events} renders, "
        f"0 dead letters; answers {dict(answers)}"
    )


def redelivered(names: list[str], copies: int) -> list[Event]:
    """Each event `copies` times: every other copy soon after the first, as when a consumer is restarted."""
    order = random.Random(11)
    places = [
        (place + order.uniform(0, 2 if copy % 2 else len(names)), name)
        for place, name in enumerate(names)
        for copy in range(copies)
    ]
    return [requested(name) for _, name in sorted(places)]


def answers_lost(stage: Stage, dispatcher: Dispatcher, *, events: int) -> str:
    """One to three answers to each event are lost on the way: it is told all the same, by its one render."""
    names = [f"star {number}" for number in range(events)]

    def lost(event: Event, attempt: int) -> Hazard:
        return Hazard(answer_lost=attempt <= int(event.attributes["id"].split()[1]) % 3)

    with stage.pods(2) as pods, Broker(dispatcher, hazards=lost) as broker:
        broker.trigger(IMAGE_REQUESTED, *pods.urls, at_once=1)
        settle(broker, [requested(name) for name in names], PATIENCE)
        assert not broker.dead, f"{len(broker.dead)} dead letters, such as {broker.dead[0]}"
        Told.by_replies(broker).check(names)
        pods.check_renders(names)
        count = sum(answer is None for each in broker.settled for answer in each.answers)
    return f"{dispatcher.name}: {count} answers to {events} events lost, each told, {events} renders"


def slowest_render(
    stage: Stage, dispatcher: Dispatcher, delivery: Mapping[str, Any] = DELIVERY, factor: float = 300
) -> str:
    """An event and its duplicate, whose render takes as long as it may: none of the two is a dead letter."""
    with (
        stage.pods(2, seconds=RENDER_LIMIT / factor) as pods,
        Broker(dispatcher, delivery, factor=factor, least_timeout=0) as broker,
    ):
        broker.trigger(IMAGE_REQUESTED, *pods.urls, at_once=1)
        settle(broker, [requested("star"), requested("star")], PATIENCE)
        first, last = sorted(broker.settled, key=lambda each: len(each.answers))
        backoffs = dispatcher.backoffs(DeliverySpec.of(delivery))
        assert list(last.waited) == backoffs[: len(last.waited)]
        assert not broker.dead, f"given up after {sum(last.waited):.0f} s: {last.answers}"
        told = Told.by_replies(broker)
        told.check(["star"])
        pods.check_renders(["star"])
        assert told.count == 2, "the duplicate was not told"
        # On a busy machine the first may time out, too.
        for each in (first, last):
            assert each.answers[-1] == 200 and set(each.answers[:-1]) <= {409, None}, f"answers {each.answers}"  # noqa: PT018
        conflicts = last.answers.count(409)
        assert conflicts, "there was no conflict to survive"
    return (
        f"{dispatcher.name}: a render of {RENDER_LIMIT:.0f} s; its duplicate met {conflicts} times 409 in "
        f"{sum(last.waited):.0f} of {sum(backoffs):.0f} s, 0 dead letters"
    )
