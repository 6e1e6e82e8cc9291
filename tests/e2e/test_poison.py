"""What nobody can draw: it harms no other, and none of it is lost."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from events import IMAGE_COMPLETED, IMAGE_FAILED
from tests.e2e.cluster import until
from tests.e2e.figures import Figures
from tests.e2e.installation import PATIENCE, Installation, Sent
from tests.e2e.namespaces import WORKSHOP
from tests.e2e.pods import bench

pytestmark = pytest.mark.e2e

DEATHS = 3
# Seconds until the broker would repeat a delivery that failed.
FIRST_RETRY = 1.0
# A path that answers every POST with 405, which nobody repeats.
ASTRAY = "/health/liveness"


def test_an_invalid_prompt_fails_with_its_faults_and_is_not_repeated(
    installation: Installation, figures: Figures
) -> None:
    began = time.monotonic()
    sent = installation.request({"promt": "a red star", "width": 100})
    told = installation.outcome(sent.key)
    figures.note("poison", "an invalid prompt, until it failed", time.monotonic() - began)
    assert told["type"] == IMAGE_FAILED
    assert told["data"]["code"] == "invalid_prompt"
    assert {fault["where"] for fault in told["data"]["faults"]} == {"prompt", "promt", "width"}
    assert installation.attempts(sent.key) == []
    # Nor is it repeated while another event is drawn, which takes longer than the first retry would wait.
    drawn = installation.outcome(installation.request(installation.lasting(3 * FIRST_RETRY)).key)
    assert drawn.at - told.at > FIRST_RETRY
    assert len(installation.told(sent.key)) == 1
    assert installation.dead(sent.key) == []


def test_broken_data_is_a_dead_letter_at_once(installation: Installation, figures: Figures) -> None:
    sent, began = Sent.new(), time.monotonic()
    assert installation.publish(sent, b'{"prompt": "a red sta') == 202
    (letter,) = until(lambda: installation.dead(sent.key), "a dead letter", PATIENCE)
    figures.note("poison", "broken JSON, until it was archived", time.monotonic() - began)
    kept = json.loads(installation.read(letter))
    assert kept["id"] == sent.id
    assert kept["knativeerrorcode"] in ("400", 400)
    assert installation.told(sent.key) == []
    # The ingress itself refuses what has not even an event's attributes.
    assert installation.publish(Sent("", ""), b"{}") == 400


def test_a_prompt_that_kills_its_process_fails_after_three_attempts(
    installation: Installation, figures: Figures
) -> None:
    sent = installation.request(installation.lasting(60))
    began = time.monotonic()
    with killer(installation) as kill:
        for number in range(DEATHS):
            until(partial(attempted, installation, sent, number), f"attempt {number + 1} begins", PATIENCE)
            kill()
        told = installation.outcome(sent.key)
    assert told["type"] == IMAGE_FAILED
    assert told["data"]["code"] == "attempts_exhausted"
    assert installation.attempts(sent.key) == [*[None] * DEATHS, "committed"]
    assert installation.dead(sent.key) == []
    figures.note("poison", "three kills, until it failed for good", time.monotonic() - began)
    # Who comes after it is drawn.
    assert installation.outcome(installation.request().key)["type"] == IMAGE_COMPLETED


def test_what_went_astray_is_drawn_once_it_is_replayed(installation: Installation, figures: Figures) -> None:
    with astray(installation):
        lost = until(lambda: dies(installation), "an event dies of the wrong address", PATIENCE)
    until(lambda: not dies(installation), "the right address is in force again", PATIENCE)
    assert installation.told(lost) == []
    installation.darkroom("replay", "--archive", lost)
    assert installation.outcome(lost, letters=1)["type"] == IMAGE_COMPLETED
    assert installation.attempts(lost) == ["committed"]
    assert len(installation.dead(lost)) == 1
    figures.note("poison", "dead letters that a replay had drawn", 1)


def attempted(installation: Installation, sent: Sent, deaths: int) -> bool:
    """Whether somebody is at it again after so many deaths."""
    return len(installation.attempts(sent.key)) > deaths


@contextmanager
def killer(installation: Installation) -> Iterator[Callable[[], None]]:
    """What kills the processes of every render pod from outside, as the node does when its memory ends."""
    with bench(installation.image, "killer", hostPID=True) as pod:

        def kill() -> None:
            statuses = [status for pod in installation.pods() for status in pod["status"].get("containerStatuses", ())]
            containers = [
                status["containerID"].rpartition("/")[2]
                for status in statuses
                if status["name"] == "user-container" and "running" in status["state"]
            ]
            WORKSHOP("exec", pod, "--", "python3", "/programs/kill.py", *containers)

        yield kill


@contextmanager
def astray(installation: Installation) -> Iterator[None]:
    """Requests go to an address of render where nobody takes them."""
    before = installation.cluster.read("trigger", "image-requested")["spec"]["subscriber"]
    _subscriber(installation, before | {"uri": ASTRAY})
    try:
        yield
    finally:
        _subscriber(installation, before | {"uri": before.get("uri")})


def _subscriber(installation: Installation, subscriber: dict[str, Any]) -> None:
    patch = json.dumps({"spec": {"subscriber": subscriber}})
    installation.cluster("patch", "trigger", "image-requested", "--type=merge", "--patch", patch)
    installation.cluster.wait("condition=Ready", "trigger/image-requested", seconds=120)


def dies(installation: Installation) -> str | None:
    """The key of an event that became a dead letter; None for one that was drawn, since addresses change with time."""
    sent = installation.request()
    until(lambda: installation.dead(sent.key) or installation.told(sent.key), "its end, one way or the other", PATIENCE)
    return sent.key if installation.dead(sent.key) else None
