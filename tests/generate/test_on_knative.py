"""The waiting doors of `darkroom render`: there if they are asked for, with their token, and beside a sink."""

from __future__ import annotations

import hashlib
import json
import queue
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
import pytest
import urllib3

from function.demo.process import free_ports
from function.demo.s3server import S3Server
from function.doors.generate import TOO_LARGE
from tests.contract.validate import validated
from tests.darkroom import DarkroomProcess, eventually
from tests.drawing import renders
from tests.receiver import Delivery, receiver
from tests.stores import new_bucket

TOKEN = secrets.token_hex(8)
BOTH = ("/generate", "/v1/images/generations")


@dataclass(frozen=True)
class Serving:
    process: DarkroomProcess
    told: queue.Queue[Delivery]
    log: Path

    def ask(self, prompt: object, token: str = TOKEN, path: str = "/generate") -> urllib3.BaseHTTPResponse:
        return self.process.post(path, json.dumps(prompt).encode(), {"Authorization": f"Bearer {token}"})


@pytest.fixture(scope="module")
def serving(seaweedfs: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    (port,) = free_ports(1)
    folder = tmp_path_factory.mktemp("knative")
    environment = {
        "DARKROOM_IMAGE_BUCKET": new_bucket(seaweedfs, "images"),
        "DARKROOM_GENERATE": "true",
        "DARKROOM_DOOR_TOKEN": TOKEN,
        "K_SINK": f"http://127.0.0.1:{port}/broker",
        "DRAWING_LOG": str(folder / "renders"),
        "DRAWING_SECONDS": "1",
    }
    program = ("-m", "tests.drawing")
    with (
        receiver(port) as told,
        DarkroomProcess("render", seaweedfs, folder, environment, program=program) as process,
    ):
        yield Serving(process.wait_ready(), told, folder / "renders")


def test_the_sender_has_the_picture_and_the_sink_its_completion(serving: Serving) -> None:
    answer = json.loads(serving.ask({"prompt": "told twice"}).data)
    event = validated(json.loads(serving.told.get(timeout=30).body))
    assert event["type"] == "dev.darkroom.image.completed"
    assert (event["causationid"], event["data"]["key"]) == (answer["id"], answer["key"])
    assert serving.told.empty()


def test_who_waits_gets_the_slot_while_an_event_is_sent_again(serving: Serving) -> None:
    with ThreadPoolExecutor(2) as senders:
        first = senders.submit(serving.ask, {"prompt": "first"})
        eventually(lambda: "first" in renders(serving.log), "the first render has begun")
        second = senders.submit(serving.ask, {"prompt": "second"})
        assert serving.process.event({"prompt": "an event"}, id="1").status == 429
        assert [first.result().status, second.result().status] == [200, 200]
    assert renders(serving.log)[-2:] == ["first", "second"]


@pytest.mark.parametrize("path", BOTH)
def test_the_token_is_asked_for_in_json(serving: Serving, path: str) -> None:
    before = renders(serving.log)
    for token in ("", "wrong", TOKEN[:-1]):
        response = serving.ask({"prompt": "secret"}, token, path)
        assert response.status == 401
        error: dict[str, Any] = json.loads(response.data)["error"]
        assert error["code"] == "unauthorized"
    assert renders(serving.log) == before


def test_openais_client_sends_its_key_as_the_token(serving: Serving) -> None:
    def asking(key: str) -> openai.OpenAI:
        return openai.OpenAI(api_key=key, base_url=f"{serving.process.url}/v1", max_retries=0)

    with asking("wrong") as client, pytest.raises(openai.AuthenticationError):
        client.images.generate(prompt="by a stranger")
    with asking(TOKEN) as client:
        assert client.images.generate(prompt="by a friend").data


def test_files_that_no_answer_should_hold_are_at_their_urls(serving: Serving) -> None:
    # Noise, of which a PNG saves nothing: 66 MiB.
    response = serving.ask({"prompt": "much", "num_images": 16, "width": 2048, "height": 704})
    answer = json.loads(response.data)
    assert (len(answer["images"]), answer["left_out"]) == (16, TOO_LARGE)
    assert len(response.data) < 1 << 16
    fetched = serving.process.http.request("GET", answer["images"][15]["url"])
    assert hashlib.sha256(fetched.data).hexdigest() == answer["images"][15]["sha256"]


def test_without_the_setting_nothing_is_there(seaweedfs: S3Server, tmp_path: Path) -> None:
    with DarkroomProcess("render", seaweedfs, tmp_path, {}, program=("-m", "tests.drawing")) as process:
        process.wait_listening()
        assert [process.post(path, b"{}", {}).status for path in BOTH] == [404, 404]
