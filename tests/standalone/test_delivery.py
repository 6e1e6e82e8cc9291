"""A prompt file put into a real bucket leads to a picture, a result and a URL; by webhook, and without it by sweep."""

from __future__ import annotations

import hashlib
import io
import json
import secrets
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from PIL import Image

from function.demo.s3server import S3Server, Webhook
from function.demo.seaweedfs import SeaweedFS
from tests.contract.validate import validated
from tests.darkroom import DarkroomProcess, eventually
from tests.judge import is_right
from tests.servers.minio import Minio
from tests.stores import running

TOKEN = secrets.token_hex(16)
SENTENCE = "a yellow ring on a purple background"
KEYS = [
    "plain.json",
    "with space.json",
    "one+one.json",
    "100%25 & more.json",
    "caf\u00e9.json",
    "cafe\u0301.json",
    "nested/folders/deep/ä ö+ü %41.json",
]
# Far longer than a test: what arrives in time was brought by the webhook.
NEVER = "100000"


@dataclass(frozen=True)
class Standalone:
    process: DarkroomProcess
    server: S3Server

    def put(self, key: str, prompt: object) -> None:
        self.server.client.put_object(Bucket="prompts", Key=key, Body=json.dumps(prompt).encode())

    def result(self, key: str, index: int = 0) -> dict[str, Any] | None:
        """The outcome in `results/`, None if there is none yet."""
        try:
            name = f"results/prompts/{key}.{index}.json"
            return validated(json.load(self.server.client.get_object(Bucket="images", Key=name)["Body"]))
        except ClientError:
            return None

    def outcome(self, key: str, index: int = 0) -> dict[str, Any]:
        return eventually(lambda: self.result(key, index), f"the result of {key}", seconds=240)


@contextmanager
def started(server: type[SeaweedFS | Minio], folder: Path, *, webhook: bool, sweep: str) -> Iterator[Standalone]:
    """A server with or without its webhook, and a `darkroom serve` that sweeps every `sweep` seconds."""
    # The webhook's address must be known before the server starts, and darkroom's before it is.
    folder.mkdir(parents=True, exist_ok=True)
    address = Webhook("http://127.0.0.1:1/drop", TOKEN)
    store = server(folder / "s3", ["prompts", "images"], address if webhook else None)
    environment = {
        "DARKROOM_PROMPT_BUCKETS": "prompts",
        "DARKROOM_IMAGE_BUCKET": "images",
        "DARKROOM_DOOR_TOKEN": TOKEN,
        "DARKROOM_SWEEP_INTERVAL": sweep,
    }
    with DarkroomProcess("serve", store, folder, environment) as process:
        if webhook:
            store.webhook = Webhook(f"{process.url}/drop", TOKEN)
        for running_store in running(store):
            yield Standalone(process.wait_ready(), running_store)


@pytest.fixture(scope="module", params=[SeaweedFS, Minio], ids=["seaweedfs", "minio"])
def kind(request: pytest.FixtureRequest) -> type[SeaweedFS | Minio]:
    chosen: type[SeaweedFS | Minio] = request.param
    return chosen


@pytest.fixture(scope="module")
def hooked(kind: type[SeaweedFS | Minio], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standalone]:
    with started(kind, tmp_path_factory.mktemp("hooked"), webhook=True, sweep=NEVER) as standalone:
        yield standalone


def check(key: str, event: dict[str, Any]) -> None:
    """The outcome names the file, and its URL, fetched by plain HTTP, gives the picture that it describes."""
    assert event["type"] == "dev.darkroom.image.completed", event["data"]
    assert event["data"]["source_object"]["key"] == key
    (image,) = event["data"]["images"]
    with urllib.request.urlopen(image["url"], timeout=30) as answer:  # noqa: S310
        body = answer.read()
    assert hashlib.sha256(body).hexdigest() == image["sha256"]
    assert len(body) == image["size"]
    with Image.open(io.BytesIO(body)) as picture:
        assert picture.size == (image["width"], image["height"])
        assert is_right(picture, SENTENCE)


def test_the_webhook_delivers_every_kind_of_key(hooked: Standalone) -> None:
    for key in KEYS:
        hooked.put(key, {"prompt": SENTENCE, "num_inference_steps": 20, "seed": 1})
    for key in KEYS:
        check(key, hooked.outcome(key))
    assert hooked.process.metric("darkroom_renders_total") >= len(KEYS)


def test_several_prompts_in_a_file_have_an_outcome_each(hooked: Standalone) -> None:
    good = {"prompt": SENTENCE, "num_inference_steps": 20, "seed": 1}
    hooked.put("several.json", [good, {"prompt": ""}, good | {"seed": 2}])
    codes = [hooked.outcome("several.json", index)["data"].get("code") for index in range(3)]
    assert codes == [None, "invalid_prompt", None]


def test_a_broken_file_is_told_beside_its_name(hooked: Standalone) -> None:
    hooked.server.client.put_object(Bucket="prompts", Key="broken.json", Body=b'{"prompt": ')
    data = hooked.outcome("broken.json")["data"]
    assert data["code"] == "invalid_prompt_file"
    assert "not JSON" in data["message"]


def test_an_overwritten_file_is_a_new_request(hooked: Standalone) -> None:
    hooked.put("again.json", {"prompt": SENTENCE, "num_inference_steps": 20, "seed": 1})
    first = hooked.outcome("again.json")
    hooked.put("again.json", {"prompt": SENTENCE, "num_inference_steps": 20, "seed": 2})
    second = eventually(
        lambda: event if (event := hooked.result("again.json")) and event["id"] != first["id"] else None,
        "the result of the new content",
        seconds=120,
    )
    assert second["data"]["images"][0]["seed"] == 2


def test_the_door_wants_its_token(hooked: Standalone) -> None:
    body, plain = json.dumps({"prompt": SENTENCE}).encode(), {"Content-Type": "application/json"}
    for headers in (plain, plain | {"Authorization": "Bearer wrong"}, plain | {"Authorization": TOKEN[:-1]}):
        assert hooked.process.post("/drop", body, headers).status == 401


def test_a_plain_prompt_is_rendered_and_answered(hooked: Standalone) -> None:
    headers = {
        "Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}", "Idempotency-Key": secrets.token_hex(8)
    }  # fmt: skip
    body = json.dumps({"prompt": SENTENCE, "num_inference_steps": 20}).encode()
    answers = [hooked.process.post("/drop", body, headers) for _ in range(2)]
    assert [answer.status for answer in answers] == [202, 202]
    first, second = (json.loads(answer.data) for answer in answers)
    assert first["type"] == "dev.darkroom.image.completed"
    assert first["id"] == second["id"]
    assert first["causationid"] == headers["Idempotency-Key"]


def test_junk_at_the_door_is_accepted_in_silence(hooked: Standalone) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    for body in (b"", b"{", b"\xff", b"[]", b"7", b'{"hello": "world"}', b"[" * 100_000):
        answer = hooked.process.post("/drop", body, headers)
        assert (answer.status, answer.data) == (204, b"")


def test_without_the_webhook_the_sweep_delivers_the_same(kind: type[SeaweedFS | Minio], tmp_path: Path) -> None:
    with started(kind, tmp_path, webhook=False, sweep="1") as standalone:
        for key in KEYS:
            standalone.put(key, {"prompt": SENTENCE, "num_inference_steps": 20})
        for key in KEYS:
            check(key, standalone.outcome(key))
        eventually(lambda: len(files(standalone)) == len(KEYS), "every file is marked done", seconds=30)
        assert standalone.process.metric("darkroom_renders_total") == len(KEYS)
        sweeps_go_on(standalone)
        assert standalone.process.metric("darkroom_renders_total") == len(KEYS)


def files(standalone: Standalone) -> list[str]:
    answer = standalone.server.client.list_objects_v2(Bucket="images", Prefix="files/")
    return [row["Key"] for row in answer.get("Contents", ())]


def sweeps_go_on(standalone: Standalone) -> None:
    """Wait until a file dropped now is done, which takes at least one more sweep of the old ones."""
    began = time.monotonic()
    standalone.put("later.json", {"prompt": ""})
    standalone.outcome("later.json")
    assert time.monotonic() - began < 60
