"""A CloudEvent that is POSTed to the broker, five times at once."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from events import IMAGE_COMPLETED
from tests.e2e.cluster import until
from tests.e2e.figures import Figures
from tests.e2e.installation import PATIENCE, Installation, Sent

pytestmark = pytest.mark.e2e

TIMES = 5
# Seconds of a render that two pods meet over: the second one wakes meanwhile, and is given the duplicates.
LONGER = 45.0


def test_five_duplicates_are_one_render_and_five_tellings_of_one_outcome(
    installation: Installation, figures: Figures
) -> None:
    sent, body = Sent.new(), json.dumps(installation.lasting(LONGER)).encode()
    # Then no log has anything but this story in it.
    installation.asleep()
    with ThreadPoolExecutor(TIMES) as senders:
        answers = list(senders.map(lambda _: installation.publish(sent, body), range(TIMES)))
    assert answers == [202] * TIMES

    def met() -> int:
        assert len(installation.attempts(sent.key)) <= 1, "it is rendered twice"
        return installation.refusals("InProgress")

    until(met, "a pod refuses what the other one renders", PATIENCE)
    assert installation.attempts(sent.key) == [None], "the render was over before anyone met it"
    assert installation.told(sent.key) == []

    assert installation.outcome(sent.key, TIMES)["type"] == IMAGE_COMPLETED
    attempts, letters = installation.attempts(sent.key), installation.dead(sent.key)
    assert attempts == ["committed"]
    assert letters == []
    figures.note("broker", "renders of five duplicates, on two pods", len(attempts))
    figures.note("broker", "dead letters", len(letters))
