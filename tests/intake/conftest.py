"""`darkroom intake` processes on real stores, whose sink keeps what they publish."""

from __future__ import annotations

import json
import queue
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from function.demo.process import free_ports
from function.demo.s3server import S3Server
from tests.contract.validate import validated
from tests.darkroom import DarkroomProcess, darkroom
from tests.receiver import Delivery, receiver
from tests.stores import new_bucket


@dataclass(frozen=True)
class Intake:
    """A process with the buckets that are its own, and what came to its sink."""

    process: DarkroomProcess
    server: S3Server
    deliveries: queue.Queue[Delivery]
    prompts: str
    images: str

    def put(self, key: str, body: bytes) -> None:
        self.server.client.put_object(Bucket=self.prompts, Key=key, Body=body)

    def told(self, seconds: float = 60) -> dict[str, Any]:
        """The next event at the sink."""
        return event_of(self.deliveries.get(timeout=seconds))


def event_of(delivery: Delivery) -> dict[str, Any]:
    """The event that was POSTed in structured mode, as the contract promises it."""
    assert delivery.headers["content-type"].startswith("application/cloudevents+json"), delivery
    return validated(json.loads(delivery.body))


@contextmanager
def intake_on(server: S3Server, folder: Path, **settings: str) -> Iterator[Intake]:
    """A `darkroom intake` that is ready, on new buckets of a running server."""
    (port,) = free_ports(1)
    prompts, images = new_bucket(server, "prompts"), new_bucket(server, "images")
    environment = {
        "DARKROOM_PROMPT_BUCKETS": prompts,
        "DARKROOM_IMAGE_BUCKET": images,
        "K_SINK": f"http://127.0.0.1:{port}/broker",
    }
    with (
        receiver(port) as deliveries,
        DarkroomProcess("intake", server, folder, environment | settings) as process,
    ):
        yield Intake(process.wait_ready(), server, deliveries, prompts, images)


@pytest.fixture(scope="package")
def intake(seaweedfs: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Intake]:
    """One for all tests that leave it alive and take what they publish from its sink."""
    with intake_on(seaweedfs, tmp_path_factory.mktemp("intake")) as running:
        yield running


def sweep(server: S3Server, environment: Mapping[str, str]) -> str:
    """Run `darkroom sweep` to its end and return what it logged; fails the test if anything was postponed."""
    done = darkroom("sweep", **server.environment, **{"DARKROOM_LOG_FORMAT": "json"} | dict(environment))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr
