"""`darkroom render` processes on a real SeaweedFS: one for all tests that leave it alive, and new ones to be ended."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from function.demo.s3server import S3Server
from tests.darkroom import DarkroomProcess, eventually
from tests.process.measure import allowance as measured_allowance
from tests.stores import new_bucket


@dataclass(frozen=True)
class Running:
    """A process and the buckets that are its own."""

    process: DarkroomProcess
    server: S3Server
    images: str
    prompts: str

    def stored(self, key: str) -> Any:
        """A JSON object of the image bucket."""
        return json.loads(self.server.client.get_object(Bucket=self.images, Key=key)["Body"].read())

    def keys(self, prefix: str) -> list[str]:
        """The keys in the image bucket that begin so."""
        listed = self.server.client.list_objects_v2(Bucket=self.images, Prefix=prefix)
        return [row["Key"] for row in listed.get("Contents", ())]

    def claimed(self) -> str:
        """The key of the first request that is claimed, once there is one."""
        claim = eventually(lambda: next(iter(self.keys("claims/")), None), "a claim in the image bucket", 120)
        return claim.split("/")[1]


Launch = Callable[..., Running]


@pytest.fixture(scope="package")
def launch(seaweedfs: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launch]:
    """Starts a process on new buckets and waits for nothing; whatever still runs at the end is ended."""
    started: list[DarkroomProcess] = []

    def start(*program: str, **settings: str) -> Running:
        images, prompts = new_bucket(seaweedfs, "images"), new_bucket(seaweedfs, "prompts")
        environment = {"DARKROOM_IMAGE_BUCKET": images, "DARKROOM_PROMPT_BUCKETS": prompts, **settings}
        folder: Path = tmp_path_factory.mktemp("render")
        program = program or ("-m", "function.cli")
        started.append(DarkroomProcess("render", seaweedfs, folder, environment, program=program))
        return Running(started[-1], seaweedfs, images, prompts)

    yield start
    for process in started:
        process.stop()


@pytest.fixture(scope="package")
def render(launch: Launch) -> Running:
    """A `darkroom render` that is ready and stays so."""
    running = launch()
    running.process.wait_ready()
    return running


@pytest.fixture
def allowance() -> float:
    """By what limits in seconds are multiplied on a machine that others keep busy; 1 on an idle one."""
    return measured_allowance()
