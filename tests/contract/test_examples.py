"""The examples of docs/events.md do what they say, against a real Darkroom and with real pictures."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import queue
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import urllib3

from events.contract.examples import examples
from events.envelope import write
from function.demo.process import Child, free_ports
from function.demo.s3server import S3Server
from tests.contract.validate import validated
from tests.darkroom import REPOSITORY, DarkroomProcess
from tests.receiver import Delivery, receiver
from tests.stores import new_bucket

EXAMPLES = REPOSITORY / "docs" / "examples"
PROMPT = {"prompt": "a red star on a white background", "num_inference_steps": 2}
DEAD = "http://127.0.0.1:1/"


@dataclass(frozen=True)
class Darkroom:
    """A process whose outcomes go to `told`, as to a broker."""

    process: DarkroomProcess
    told: queue.Queue[Delivery]
    token: str

    def asked(self, script: str, url: str, id: str) -> subprocess.CompletedProcess[str]:
        """One of the examples by curl, run as it is."""
        return subprocess.run(
            [EXAMPLES / script, url, json.dumps(PROMPT), id],
            env=os.environ | {"TOKEN": self.token},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def outcome(self) -> dict[str, Any]:
        return validated(json.loads(self.told.get(timeout=60).body))


@pytest.fixture(scope="module")
def darkroom(seaweedfs: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Darkroom]:
    (port,) = free_ports(1)
    token = uuid.uuid4().hex
    environment = {
        "DARKROOM_IMAGE_BUCKET": new_bucket(seaweedfs, "images"),
        "DARKROOM_PROMPT_BUCKETS": new_bucket(seaweedfs, "prompts"),
        "DARKROOM_DOOR_TOKEN": token,
        "K_SINK": f"http://127.0.0.1:{port}/",
    }
    with (
        receiver(port) as told,
        DarkroomProcess("serve", seaweedfs, tmp_path_factory.mktemp("examples"), environment) as process,
    ):
        yield Darkroom(process.wait_ready(), told, token)


@pytest.fixture(scope="module")
def completion(darkroom: Darkroom) -> dict[str, Any]:
    """A real completion, whose URL gives a real picture."""
    run = darkroom.asked("drop_prompt.sh", darkroom.process.url, "a-completion")
    assert run.returncode == 0, run.stdout + run.stderr
    event = darkroom.outcome()
    assert event["type"] == "dev.darkroom.image.completed"
    return event


@pytest.mark.parametrize(("script", "path"), [("drop_prompt.sh", ""), ("request_image.sh", "/")])
def test_what_curl_sends_is_drawn_once(darkroom: Darkroom, completion: dict[str, Any], script: str, path: str) -> None:
    del completion  # its own telling must not be in the queue
    ids = []
    renders = darkroom.process.metric("darkroom_renders_total")
    for _ in range(2):
        run = darkroom.asked(script, darkroom.process.url + path, f"by-{script}")
        assert run.returncode == 0, run.stdout + run.stderr
        event = darkroom.outcome()
        assert (event["type"], event["causationid"]) == ("dev.darkroom.image.completed", f"by-{script}")
        ids.append(event["id"])
    assert ids[0] == ids[1]
    assert darkroom.process.metric("darkroom_renders_total") == renders + 1


@pytest.mark.parametrize(("script", "path"), [("drop_prompt.sh", ""), ("request_image.sh", "/")])
def test_curl_fails_where_darkroom_refuses(darkroom: Darkroom, script: str, path: str) -> None:
    stranger = Darkroom(darkroom.process, darkroom.told, "wrong")
    assert stranger.asked(script, darkroom.process.url + path, "refused").returncode != 0


@dataclass(frozen=True)
class Subscriber:
    """An example of a subscriber, as a process, and the folder that it keeps pictures in."""

    url: str
    pictures: Path

    def deliver(self, event: dict[str, Any], *, binary: bool = False) -> int:
        """The status that a broker would see."""
        headers, body = write(event)
        if binary:
            headers = {f"ce-{name}": str(value) for name, value in event.items() if name != "data"}
            headers["content-type"] = event["datacontenttype"]
            body = json.dumps(event["data"]).encode()
        return urllib3.request("POST", self.url, body=body, headers=headers, timeout=60, retries=False).status

    def kept(self) -> dict[str, str]:
        """The sha256 of each picture by its name."""
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in self.pictures.glob("*.png")}


@pytest.fixture(params=["subscriber_flask", "subscriber_cloudevents"])
def subscriber(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Subscriber]:
    (port,) = free_ports(1)
    subscriber = Subscriber(f"http://127.0.0.1:{port}/", tmp_path / "pictures")
    program = ["-W", "error", "-m", "flask", "--app", str(EXAMPLES / request.param), "run", "--port", str(port)]
    child = Child(
        request.param,
        [sys.executable, *program],
        folder=tmp_path,
        log=tmp_path / "subscriber.log",
        environment=dict(os.environ) | {"PICTURES": str(subscriber.pictures)},
    )
    try:
        child.wait_until_ready(
            lambda: urllib3.request("GET", subscriber.url, timeout=5, retries=False),
            seconds=60,
            retry_on=(urllib3.exceptions.HTTPError,),
        )
        yield subscriber
    finally:
        child.stop(10)


@pytest.mark.parametrize("binary", [False, True], ids=["structured", "binary"])
def test_a_subscriber_keeps_each_picture_once(
    subscriber: Subscriber, completion: dict[str, Any], *, binary: bool
) -> None:
    (image,) = completion["data"]["images"]
    assert subscriber.deliver(completion, binary=binary) == 204
    picture = {f"{completion['data']['key']}-0.png": image["sha256"]}
    assert subscriber.kept() == picture

    again = copy.deepcopy(completion)
    again["data"]["images"][0]["url"] = DEAD
    assert subscriber.deliver(again) == subscriber.deliver(again, binary=True) == 204, "it fetched what it has"

    other = copy.deepcopy(again) | {"id": "another"}
    assert subscriber.deliver(other, binary=binary) >= 500, "it took what it could not fetch"
    assert subscriber.kept() == picture


def test_a_subscriber_refuses_a_picture_that_was_not_announced(
    subscriber: Subscriber, completion: dict[str, Any]
) -> None:
    forged = copy.deepcopy(completion)
    forged["data"]["images"][0]["sha256"] = "0" * 64
    assert subscriber.deliver(forged) >= 500
    assert subscriber.kept() == {}
    assert subscriber.deliver(completion) == 204, "what failed counts as seen"
    assert len(subscriber.kept()) == 1


def test_a_subscriber_leaves_other_events_alone(subscriber: Subscriber) -> None:
    for kind, event in examples().items():
        if kind != "dev.darkroom.image.completed":
            assert subscriber.deliver(event) == subscriber.deliver(event, binary=True) == 204
    assert subscriber.kept() == {}
