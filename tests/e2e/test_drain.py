"""A pod that is deleted in mid-render."""

from __future__ import annotations

import time
from datetime import datetime

import pytest

from events import IMAGE_COMPLETED
from tests.e2e.cluster import until
from tests.e2e.figures import Figures
from tests.e2e.installation import PATIENCE, Installation

pytestmark = pytest.mark.e2e

# Knative lets a deleted pod be for 30 s before it sends SIGTERM; the render has to outlast that.
LONGER = 60.0


def test_a_pod_that_is_deleted_in_mid_render_finishes_it(installation: Installation, figures: Figures) -> None:
    sent = installation.request(installation.lasting(LONGER))
    until(lambda: installation.attempts(sent.key), "the render begins", PATIENCE)
    pods = [pod["metadata"]["name"] for pod in installation.pods()]
    deleted = time.time()
    installation.cluster("delete", "pod", *pods, "--wait=false")

    told = installation.outcome(sent.key)
    assert told["type"] == IMAGE_COMPLETED
    lasted = datetime.fromisoformat(told["time"]).timestamp() - deleted
    assert lasted > 30, f"the render was over {lasted:.0f} s after the deletion: no SIGTERM came in its middle"
    installation.cluster.wait("delete", *(f"pod/{pod}" for pod in pods), seconds=PATIENCE)
    attempts, letters = installation.attempts(sent.key), installation.dead(sent.key)
    assert attempts == ["committed"]
    assert [each["id"] for each in installation.told(sent.key)] == [told["id"]]
    assert letters == []
    figures.note("drain", "from the pod's deletion to the end of its render", lasted)
    figures.note("drain", "renders", len(attempts))
    figures.note("drain", "dead letters", len(letters))
