"""To zero and back, ten times."""

from __future__ import annotations

import time
from statistics import median

import pytest

from events import IMAGE_COMPLETED
from tests.e2e.figures import Figures
from tests.e2e.installation import Installation

pytestmark = pytest.mark.e2e

CYCLES = 10


def test_ten_times_to_zero_and_back_and_nothing_is_lost(installation: Installation, figures: Figures) -> None:
    to_zero, to_picture = [], []
    installation.outcome(installation.request().key)
    for _ in range(CYCLES):
        before = names(installation)
        assert before, "no pod is left that could go"
        idle = time.monotonic()
        installation.asleep()
        asked = time.monotonic()
        sent = installation.request()
        told = installation.outcome(sent.key)
        to_zero.append(asked - idle)
        to_picture.append(time.monotonic() - asked)
        assert told["type"] == IMAGE_COMPLETED
        assert installation.attempts(sent.key) == ["committed"]
        assert installation.dead(sent.key) == []
        assert not before & names(installation), "a pod that had gone was back"
    for what, seconds in (("from an event to zero", to_zero), ("from zero to a picture", to_picture)):
        figures.note("zero", f"{what}: median", median(seconds))
        figures.note("zero", f"{what}: longest", max(seconds))
    figures.note("zero", "cycles without a loss", len(to_picture))


def names(installation: Installation) -> set[str]:
    """The names of the pods of render."""
    return {pod["metadata"]["name"] for pod in installation.pods()}
