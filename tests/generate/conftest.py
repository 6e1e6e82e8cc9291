"""One `darkroom serve` that draws, for all tests of the doors whose sender waits."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import urllib3
from PIL import Image

from function.demo.s3server import S3Server
from tests.darkroom import DarkroomProcess
from tests.stores import new_bucket

CAPTION = "a red circle on a blue background"
PROMPT = {"prompt": CAPTION, "num_inference_steps": 20}


@dataclass(frozen=True)
class Waiting:
    """A ready process with its image bucket."""

    process: DarkroomProcess
    server: S3Server
    images: str
    prompts: str

    def ask(self, prompt: object, key: str | None = None, path: str = "/generate") -> urllib3.BaseHTTPResponse:
        headers = {"Content-Type": "application/json"} | ({"Idempotency-Key": key} if key else {})
        return self.process.post(path, json.dumps(prompt).encode(), headers)

    def drawn(self, prompt: object, key: str | None = None) -> dict[str, Any]:
        """The answer to a prompt that is drawn."""
        response = self.ask(prompt, key)
        assert response.status == 200, response.data
        answer: dict[str, Any] = json.loads(response.data)
        return answer

    def refused(self, prompt: object, status: int, key: str | None = None) -> dict[str, Any]:
        """The error in the answer to what is refused with `status`."""
        response = self.ask(prompt, key)
        assert response.status == status, response.data
        error: dict[str, Any] = json.loads(response.data)["error"]
        return error

    @property
    def renders(self) -> float:
        return self.process.metric("darkroom_renders_total")


def picture(encoded: str) -> Image.Image:
    with Image.open(io.BytesIO(base64.b64decode(encoded, validate=True))) as image:
        return image.convert("RGB")


@pytest.fixture(scope="package")
def waiting(seaweedfs: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Waiting]:
    """A `darkroom serve` without a token, which is ready."""
    images, prompts = new_bucket(seaweedfs, "images"), new_bucket(seaweedfs, "prompts")
    environment = {
        "DARKROOM_IMAGE_BUCKET": images, "DARKROOM_PROMPT_BUCKETS": prompts, "DARKROOM_SWEEP_INTERVAL": "1"
    }  # fmt: skip
    with DarkroomProcess("serve", seaweedfs, tmp_path_factory.mktemp("generate"), environment) as process:
        yield Waiting(process.wait_ready(), seaweedfs, images, prompts)
