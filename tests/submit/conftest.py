"""A `darkroom serve` that draws noise, with buckets of its own, and the command that submits files to it."""

from __future__ import annotations

import json
import secrets
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from function.demo.s3server import S3Server
from tests.contract.validate import validated
from tests.darkroom import DarkroomProcess, darkroom
from tests.drawing import renders
from tests.stores import new_bucket

TOKEN = secrets.token_hex(8)


@dataclass(frozen=True)
class House:
    """Two buckets, and what draws the prompts of the one into the other."""

    process: DarkroomProcess
    server: S3Server
    settings: dict[str, str]
    log: Path

    def submit(self, file: Path, *options: str, **more: str) -> subprocess.CompletedProcess[str]:
        return darkroom("submit", str(file), *options, **self.server.environment | self.settings | more)

    def keys(self, bucket: str = "DARKROOM_PROMPT_BUCKETS") -> list[str]:
        listed = self.server.client.list_objects_v2(Bucket=self.settings[bucket])
        return [row["Key"] for row in listed.get("Contents", ())]

    @property
    def drawn(self) -> list[str]:
        """The prompts of all renders so far."""
        return renders(self.log)


def outcomes(done: subprocess.CompletedProcess[str], status: int = 0) -> dict[int, dict[str, Any]]:
    """The outcomes that a command has printed as JSON lines, by the prompt's index."""
    assert done.returncode == status, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    came = {line["index"]: validated(line["outcome"]) for line in lines}
    assert len(came) == len(lines), "an outcome was printed twice"
    return came


@pytest.fixture(scope="package")
def house(seaweedfs: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("submit")
    settings = {
        "DARKROOM_IMAGE_BUCKET": new_bucket(seaweedfs, "images"),
        "DARKROOM_PROMPT_BUCKETS": new_bucket(seaweedfs, "prompts"),
        "DARKROOM_PROMPT_PREFIX": "in/",
        "DARKROOM_DOOR_TOKEN": TOKEN,
    }
    log = folder / "renders"
    more = {"DARKROOM_SWEEP_INTERVAL": "1", "DRAWING_LOG": str(log)}
    with DarkroomProcess("serve", seaweedfs, folder, settings | more, program=("-m", "tests.drawing")) as process:
        yield House(process.wait_ready(), seaweedfs, settings, log)
