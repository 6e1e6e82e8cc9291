"""A CloudEvent that is POSTed to the broker, five times at once."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from events import IMAGE_COMPLETED
from tests.e2e.figures import Figures
from tests.e2e.installation import PROMPT, Installation, Sent

pytestmark = pytest.mark.e2e

TIMES = 5


def test_five_duplicates_are_one_render_and_five_tellings_of_one_outcome(
    installation: Installation, figures: Figures
) -> None:
    sent, body = Sent.new(), json.dumps(PROMPT).encode()
    with ThreadPoolExecutor(TIMES) as senders:
        answers = list(senders.map(lambda _: installation.publish(sent, body), range(TIMES)))
    assert answers == [202] * TIMES
    assert installation.outcome(sent.key, TIMES)["type"] == IMAGE_COMPLETED
    assert installation.attempts(sent.key) == ["committed"]
    assert installation.dead(sent.key) == []
    figures.note("broker", "renders of five duplicates", 1)
    figures.note("broker", "dead letters", 0)
