"""Outcomes told to a sink: POSTed before the answer, replayed while the sink is away, and never also the reply."""

from __future__ import annotations

import json
import queue
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ClientError

from function.demo.process import free_ports
from function.demo.s3server import S3Server
from tests.contract.validate import validated
from tests.darkroom import DarkroomProcess, eventually, without_urls
from tests.receiver import Delivery, receiver
from tests.stores import new_bucket

PROMPT = {"prompt": "a red star on a white background", "num_inference_steps": 2}


@dataclass
class Sunk:
    """A process that tells its outcomes to `deliveries`, whose sink answers `status`."""

    server: S3Server
    images: str
    deliveries: queue.Queue[Delivery] = field(default_factory=queue.Queue)
    status: int = 202
    process: DarkroomProcess = field(init=False)

    def told(self) -> dict[str, Any]:
        delivery = self.deliveries.get(timeout=60)
        assert delivery.headers["content-type"].startswith("application/cloudevents+json")
        return validated(json.loads(delivery.body))

    def marked(self, key: str) -> bool:
        try:
            self.server.client.head_object(Bucket=self.images, Key=f"told/{key}")
        except ClientError:
            return False
        return True


@pytest.fixture(scope="module")
def running_sunk(seaweedfs: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sunk]:
    (port,) = free_ports(1)
    sunk = Sunk(seaweedfs, new_bucket(seaweedfs, "images"))
    environment = {
        "DARKROOM_IMAGE_BUCKET": sunk.images,
        "K_SINK": f"http://127.0.0.1:{port}/broker",
        "K_CE_OVERRIDES": json.dumps({"extensions": {"tenant": "tests"}}),
    }
    with (
        receiver(port, lambda: sunk.status) as sunk.deliveries,
        DarkroomProcess("render", seaweedfs, tmp_path_factory.mktemp("sink"), environment) as process,
    ):
        sunk.process = process.wait_ready()
        yield sunk


@pytest.fixture
def sunk(running_sunk: Sunk) -> Sunk:
    running_sunk.status = 202
    while not running_sunk.deliveries.empty():
        running_sunk.deliveries.get_nowait()
    return running_sunk


def test_the_outcome_is_at_the_sink_and_the_answer_is_empty(sunk: Sunk) -> None:
    answer = sunk.process.event(PROMPT, id=str(uuid.uuid4()), traceparent="00-" + "1" * 32 + "-" + "2" * 16 + "-01")
    assert (answer.status, answer.data) == (200, b"")
    event = sunk.told()
    assert event["type"] == "dev.darkroom.image.completed"
    assert event["tenant"] == "tests"
    assert event["traceparent"].startswith("00-1")
    assert sunk.marked(event["data"]["key"])
    assert sunk.deliveries.empty()


def test_every_delivery_tells_the_same(sunk: Sunk) -> None:
    id_ = str(uuid.uuid4())
    renders = sunk.process.metric("darkroom_renders_total")
    events = []
    for _ in range(3):
        assert sunk.process.event(PROMPT, id=id_).status == 200
        events.append(without_urls(sunk.told()))
    assert events[0] == events[1] == events[2]
    assert sunk.process.metric("darkroom_renders_total") == renders + 1


@pytest.mark.parametrize("refusal", [302, 400, 404, 500])
def test_a_sink_that_refuses_makes_the_answer_503_and_the_redelivery_free(sunk: Sunk, refusal: int) -> None:
    id_ = str(uuid.uuid4())
    renders = sunk.process.metric("darkroom_renders_total")
    sunk.status = refusal
    answer = sunk.process.event(PROMPT, id=id_)
    assert (answer.status, answer.data) == (503, b"the sink did not take the event\n")
    key = sunk.told()["data"]["key"]
    assert not sunk.marked(key)
    sunk.status = 202
    assert sunk.process.event(PROMPT, id=id_).status == 200
    assert eventually(lambda: sunk.marked(key), "the mark of the telling")
    assert sunk.process.metric("darkroom_renders_total") == renders + 1


def test_an_invalid_prompt_is_told_to_the_sink_too(sunk: Sunk) -> None:
    assert sunk.process.event({"prompt": ""}, id=str(uuid.uuid4())).status == 200
    assert sunk.told()["data"]["code"] == "invalid_prompt"


def test_the_log_says_at_start_how_outcomes_are_told(sunk: Sunk) -> None:
    assert '"told_by": "sink"' in sunk.process.log
