"""The waiting doors of `darkroom render`: there if they are asked for, with their token, and beside a sink."""

from __future__ import annotations

import hashlib
import http.client
import json
import queue
import secrets
import threading
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openai
import pytest
import urllib3

from events.request import Request
from function.demo.process import free_ports
from function.demo.s3server import S3Server
from function.doors.app import ADMITTED, RETRY_AFTER
from function.doors.generate import TOO_LARGE
from function.ledger import Ledger
from function.store import S3Store
from tests.contract.validate import validated
from tests.darkroom import DarkroomProcess, eventually
from tests.drawing import renders
from tests.receiver import Delivery, receiver
from tests.store.real import s3_store
from tests.stores import new_bucket

TOKEN = secrets.token_hex(8)
BOTH = ("/generate", "/v1/images/generations")


@dataclass
class Sink:
    """What the sink answers, and whether it does so by now."""

    status: int = 204
    answering: threading.Event = field(default_factory=threading.Event)

    def __call__(self) -> int:
        assert self.answering.wait(30)
        return self.status


@dataclass(frozen=True)
class Serving:
    process: DarkroomProcess
    sink: Sink
    told: queue.Queue[Delivery]
    log: Path
    images: S3Store

    def ask(
        self, prompt: object, token: str = TOKEN, path: str = "/generate", key: str | None = None
    ) -> urllib3.BaseHTTPResponse:
        return self.process.post(path, json.dumps(prompt).encode(), headers(token, key))

    def client(self, token: str = TOKEN) -> openai.OpenAI:
        return openai.OpenAI(api_key=token, base_url=f"{self.process.url}/v1", max_retries=0)

    def refusal(self, prompt: dict[str, str], kind: type[openai.APIStatusError], key: str | None = None) -> Refusal:
        """What `POST /generate` says to a prompt; OpenAI's client is told the same, and raises `kind`."""
        response = self.ask(prompt, key=key)
        error = json.loads(response.data)["error"]
        with self.client() as client, pytest.raises(kind) as raised:
            client.images.generate(prompt=prompt["prompt"], extra_body=prompt, extra_headers=headers(TOKEN, key))
        theirs = raised.value
        said = response.status, response.headers.get("Retry-After"), error["code"]
        assert (theirs.status_code, theirs.response.headers.get("Retry-After"), theirs.code) == said
        assert isinstance(theirs.body, dict)
        assert (theirs.body["message"], theirs.body["faults"]) == (error["message"], error["faults"])
        return Refusal(*said, type=theirs.type, message=error["message"])


@dataclass(frozen=True)
class Refusal:
    status: int
    retry_after: str | None
    code: str | None
    type: str | None
    message: str


def headers(token: str, key: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} | ({"Idempotency-Key": key} if key else {})


@pytest.fixture(scope="module")
def serving(seaweedfs: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    (port,) = free_ports(1)
    folder = tmp_path_factory.mktemp("knative")
    sink, images = Sink(), new_bucket(seaweedfs, "images")
    sink.answering.set()
    environment = {
        "DARKROOM_IMAGE_BUCKET": images,
        "DARKROOM_GENERATE": "true",
        "DARKROOM_DOOR_TOKEN": TOKEN,
        "K_SINK": f"http://127.0.0.1:{port}/broker",
        "DRAWING_LOG": str(folder / "renders"),
        "DRAWING_SECONDS": "1",
    }
    program = ("-m", "tests.drawing")
    with (
        receiver(port, sink) as told,
        DarkroomProcess("render", seaweedfs, folder, environment, program=program) as process,
    ):
        store = s3_store(seaweedfs.environment, images)
        yield Serving(process.wait_ready(), sink, told, folder / "renders", store)


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
    with serving.client("wrong") as client, pytest.raises(openai.AuthenticationError):
        client.images.generate(prompt="by a stranger")
    with serving.client() as client:
        assert client.images.generate(prompt="by a friend").data


def test_what_is_drawn_elsewhere_may_come_again(serving: Serving) -> None:
    key, prompt = secrets.token_hex(8), {"prompt": f"elsewhere {secrets.token_hex(4)}"}
    ledger = Ledger(serving.images)
    with ledger.claim(Request(BOTH[0], key, prompt)), ledger.claim(Request(BOTH[1], key, prompt)):
        refused = serving.refusal(prompt, openai.ConflictError, key)
    assert (refused.status, refused.retry_after, refused.code) == (409, RETRY_AFTER, "in_progress")
    assert refused.type == "invalid_request_error"
    assert [serving.ask(prompt, path=path, key=key).status for path in BOTH] == [200, 200]


@contextmanager
def silent(sink: Sink) -> Iterator[None]:
    """Answers wait for what the sink says of them, and it says nothing."""
    sink.answering.clear()
    try:
        yield
    finally:
        sink.answering.set()


def test_more_than_may_wait_is_refused_at_once(serving: Serving) -> None:
    key, prompt = secrets.token_hex(8), {"prompt": f"many {secrets.token_hex(4)}"}
    with ThreadPoolExecutor(ADMITTED + 1) as senders:
        with silent(serving.sink):
            asked = [senders.submit(serving.ask, prompt, key=key) for _ in range(ADMITTED + 1)]
            (early,), waiting = wait(asked, timeout=20, return_when=FIRST_COMPLETED)
            assert early.result().status == 429
            refused = serving.refusal(prompt, openai.RateLimitError, key)
        assert (refused.status, refused.retry_after, refused.code) == (429, RETRY_AFTER, "busy")
        assert refused.type == "rate_limit_error"
        answers = [json.loads(sent.result().data) for sent in waiting]
    # One key is one picture, for all who asked for it at once.
    assert {answer["id"] for answer in answers} == {key}
    assert len({answer["sha256"] for answer in answers}) == 1
    assert renders(serving.log).count(prompt["prompt"]) == 1


def test_what_is_lacking_is_named_and_never_there_later(serving: Serving) -> None:
    refused = serving.refusal({"prompt": "refined", "refiner": "image"}, openai.UnprocessableEntityError)
    assert (refused.status, refused.retry_after, refused.code) == (422, None, "lacking")
    assert (refused.type, refused.message.split(":")[0]) == ("invalid_request_error", "refiner")
    assert "refined" not in renders(serving.log)


def test_a_picture_that_the_sink_does_not_take_may_be_asked_for_again(serving: Serving) -> None:
    key, prompt = secrets.token_hex(8), {"prompt": f"untold {secrets.token_hex(4)}"}
    serving.sink.status = 500
    try:
        refused = serving.refusal(prompt, openai.InternalServerError, key)
    finally:
        serving.sink.status = 204
    assert (refused.status, refused.retry_after, refused.code) == (503, RETRY_AFTER, "sink_down")
    assert refused.type == "server_error"
    assert [serving.ask(prompt, path=path, key=key).status for path in BOTH] == [200, 200]
    assert renders(serving.log).count(prompt["prompt"]) == len(BOTH)


def test_a_picture_is_drawn_to_its_end_though_its_sender_hangs_up(serving: Serving) -> None:
    key, prompt = secrets.token_hex(8), {"prompt": f"alone {secrets.token_hex(4)}"}
    sender = http.client.HTTPConnection("127.0.0.1", serving.process.port)
    sender.request("POST", BOTH[0], json.dumps(prompt), headers(TOKEN, key))
    eventually(lambda: prompt["prompt"] in renders(serving.log), "the render has begun")
    sender.close()
    while json.loads(serving.told.get(timeout=30).body)["causationid"] != key:
        pass
    assert serving.ask(prompt, key=key).status == 200
    assert renders(serving.log).count(prompt["prompt"]) == 1


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
