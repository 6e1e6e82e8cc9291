"""What intake and the sweep tell goes through SinkBinding, and is heard exactly as replies are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

from events import IMAGE_FAILED
from tests.e2e.cluster import until
from tests.e2e.figures import Figures
from tests.e2e.installation import IMAGES, PATIENCE, PROMPTS, Installation, new_id, ours

pytestmark = pytest.mark.e2e

# The same faults in a file, which intake tells, and in an event, to which render replies.
INVALID: Final = {"promt": "a red star", "width": 100}
# What differs between any two outcomes, and between those of files and of events.
OWN: Final = {"id", "time", "subject", "causationid", "partitionkey"}


def test_intakes_failures_and_the_sweeps_tellings_are_heard_as_replies_are(
    installation: Installation, figures: Figures
) -> None:
    replied = installation.outcome(installation.request(INVALID).key)
    name = f"e2e/{new_id()}.json"
    key = installation.drop(name, INVALID).key
    by_intake = installation.outcome(key)
    assert by_intake["type"] == replied["type"] == IMAGE_FAILED
    assert like(by_intake.event) == like(replied.event)
    assert by_intake["subject"] == f"{PROMPTS}/{name}"

    # As if intake had died before it could note that it told: the sweep tells it again.
    until(lambda: installation.names(f"told/{key}"), "intake notes that it told", PATIENCE)
    installation.s3.delete_object(Bucket=IMAGES, Key=f"told/{key}")
    assert "sweep.told_again" in sweep(installation, DARKROOM_UNTOLD_AFTER="1")
    installation.outcome(key, 2)
    assert installation.names(f"told/{key}")
    figures.note("sink", "tellings by reply, by intake, by the sweep", "alike")


def test_the_sweep_announces_a_file_of_which_nobody_was_told(installation: Installation, figures: Figures) -> None:
    name = f"e2e/{new_id()}.json"
    with unnotified(installation.s3):
        key = installation.drop(name, INVALID).key
    assert "sweep.dropped_again" in sweep(installation, DARKROOM_FORGOTTEN_AFTER="1")
    assert installation.outcome(key)["type"] == IMAGE_FAILED
    # Once: the webhook did not tell of it, too.
    assert len(installation.announced(name)) == 1
    figures.note("sink", "files that the sweep announced, without a webhook", 1)


@contextmanager
def unnotified(s3: Any) -> Iterator[None]:
    """The prompt bucket tells nobody of what is put into it."""
    rules = s3.get_bucket_notification_configuration(Bucket=PROMPTS)
    told = {name: rules[name] for name in rules if name != "ResponseMetadata"}
    s3.put_bucket_notification_configuration(Bucket=PROMPTS, NotificationConfiguration={})
    try:
        yield
    finally:
        s3.put_bucket_notification_configuration(Bucket=PROMPTS, NotificationConfiguration=told)


def like(event: dict[str, Any]) -> dict[str, Any]:
    """What two outcomes of the same faults have in common."""
    data = {name: value for name, value in event["data"].items() if name not in ("key", "source_object")}
    return {name: value for name, value in ours(event).items() if name not in OWN} | {"data": data}


def sweep(installation: Installation, **settings: str) -> str:
    """The log of one run of the CronJob, with settings of its own that do not wait for what is young."""
    name = f"sweep-{new_id()}"
    job = json.loads(
        installation.cluster("create", "job", name, "--from=cronjob/sweep", "--dry-run=client", "--output=json")
    )
    (container,) = job["spec"]["template"]["spec"]["containers"]
    container.setdefault("env", []).extend({"name": key, "value": value} for key, value in settings.items())
    installation.cluster.apply(job)
    installation.cluster.finish(name, PATIENCE)
    return installation.cluster("logs", f"job/{name}")
