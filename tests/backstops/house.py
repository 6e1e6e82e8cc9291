"""Buckets of a test's own, the processes and commands that work on them, and dead letters as Knative sends them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import pytest

from events import IMAGE_REQUESTED
from events.request import key_of
from function.demo.s3server import S3Server
from tests.darkroom import DarkroomProcess, darkroom
from tests.drawing import renders
from tests.stores import new_bucket

STRUCTURED = "application/cloudevents+json"
PROMPT = {"prompt": "a red star on a white background"}
# What Knative adds to a dead letter: the last by base64.
GIVEN_UP = {
    "knativeerrordest": "http://render.darkroom.svc.cluster.local/",
    "knativeerrorcode": "503",
    "knativeerrordata": "bm90IGF2YWlsYWJsZSBub3cK",
}


@dataclass(frozen=True)
class House:
    """Two buckets on a server, and whatever runs on them until the test is over."""

    server: S3Server
    folder: Path
    prompts: str
    images: str
    running: ExitStack

    @classmethod
    def on(cls, server: S3Server, folder: Path, running: ExitStack) -> Self:
        return cls(server, folder, new_bucket(server, "prompts"), new_bucket(server, "images"), running)

    @property
    def settings(self) -> dict[str, str]:
        return {"DARKROOM_PROMPT_BUCKETS": self.prompts, "DARKROOM_IMAGE_BUCKET": self.images, "DARKROOM_LEASE": "4"}

    def process(self, command: Literal["archive", "intake"], **more: str) -> DarkroomProcess:
        started = DarkroomProcess(command, self.server, self.folder, self.settings | more)
        return self.running.enter_context(started).wait_ready()

    def drawing(self, command: Literal["render", "serve"] = "render", **more: str) -> DarkroomProcess:
        """What renders, but for the pixels; each render is written down."""
        settings = self.settings | {"DRAWING_LOG": str(self.folder / "renders.log")} | more
        program = ("-m", "tests.drawing")
        started = DarkroomProcess(command, self.server, self.folder, settings, program=program)
        return self.running.enter_context(started).wait_ready()

    def renders(self) -> list[str]:
        """The prompts of all renders."""
        return renders(self.folder / "renders.log")

    def darkroom(self, *arguments: str, stdin: str = "", **more: str) -> subprocess.CompletedProcess[str]:
        """A command to its end."""
        return darkroom(*arguments, stdin=stdin, **self.server.environment, **self.settings | more)

    def objects(self, prefix: str) -> dict[str, Any]:
        """The JSON objects in the image bucket whose keys begin so."""
        pages = self.server.client.get_paginator("list_objects_v2").paginate(Bucket=self.images, Prefix=prefix)
        names = [row["Key"] for page in pages for row in page.get("Contents", ())]
        return {name: json.loads(self.read(name)) for name in names}

    def read(self, name: str) -> bytes:
        return self.server.client.get_object(Bucket=self.images, Key=name)["Body"].read()

    def attempts(self, key: str) -> list[str]:
        """How each attempt at a request has ended."""
        return [str(claim.get("ended")) for _, claim in sorted(self.objects(f"claims/{key}/").items())]


def sentence(done: subprocess.CompletedProcess[str]) -> str:
    """What a command that failed as it should says last; replay has told of letters before, and Kafka's client logs."""
    assert done.returncode == 1, (done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("Error: "), done.stderr
    return last.removeprefix("Error: ")


def requested(id: str, prompt: object = PROMPT, **attributes: Any) -> dict[str, Any]:
    """A request as somebody sends it, in its JSON form."""
    event = {"specversion": "1.0", "id": id, "source": "/tests", "type": IMAGE_REQUESTED}
    return event | {"datacontenttype": "application/json"} | attributes | {"data": prompt}


def dead(id: str, prompt: object = PROMPT, **attributes: Any) -> dict[str, Any]:
    """The same once Knative has given it up."""
    return requested(id, prompt, **GIVEN_UP, **attributes)


def key(id: str) -> str:
    return key_of("/tests", id)


@pytest.fixture
def house(minio: S3Server, tmp_path: Path) -> Iterator[House]:
    with ExitStack() as running:
        yield House.on(minio, tmp_path, running)
