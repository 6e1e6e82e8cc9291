"""A dropped prompt that the installation cannot draw: said beside its file, and tried again once that has changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from events.request import ObjectRef
from function import layout
from function.demo.seaweedfs import SeaweedFS
from tests.darkroom import DarkroomProcess, eventually
from tests.standalone.test_delivery import Standalone
from tests.stores import running

SENTENCE = "destination.prefix is none that DARKROOM_DESTINATIONS allows; there is none"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SeaweedFS]:
    """A server of its own, which announces nothing."""
    yield from running(SeaweedFS(tmp_path / "s3", ["prompts", "images"]))


@contextmanager
def serving(server: SeaweedFS, folder: Path, **settings: str) -> Iterator[Standalone]:
    """A `darkroom serve` that draws noise and sweeps all the time."""
    environment = {
        "DARKROOM_PROMPT_BUCKETS": "prompts",
        "DARKROOM_IMAGE_BUCKET": "images",
        "DARKROOM_SWEEP_INTERVAL": "0.2",
    }
    program = ("-m", "tests.drawing")
    with DarkroomProcess("serve", server, folder, environment | settings, program=program) as process:
        yield Standalone(process.wait_ready(), server)


def sweep(standalone: Standalone, name: str) -> None:
    """Wait for the outcome of a file that is dropped now, and is listed behind the others, so that a sweep is over."""
    standalone.put(name, {"prompt": ""})
    standalone.outcome(name)


def refusals(process: DarkroomProcess) -> int:
    return process.log.count('"file.lacking"')


def test_a_prompt_that_needs_what_is_not_there_is_told_so_once_and_drawn_when_it_is(
    server: SeaweedFS, tmp_path: Path
) -> None:
    plain: dict[str, Any] = {"prompt": "a red star"}
    with serving(server, tmp_path) as standalone:
        standalone.put("a.json", [plain, plain | {"destination": {"prefix": "team"}}])
        told = standalone.outcome("a.json", 1)
        assert (told["data"]["code"], told["data"]["message"]) == ("lacking", SENTENCE)
        assert told["data"]["source_object"] | {"key": "a.json", "index": 1} == told["data"]["source_object"]
        assert "images" in standalone.outcome("a.json", 0)["data"]
        for name in ("b.json", "c.json", "d.json"):
            sweep(standalone, name)
        assert refusals(standalone.process) == 1, "each sweep has tried it again"
        assert standalone.process.metric("darkroom_renders_total") == 1
        assert len(listed(server, "records/")) == 4, "it has no outcome of its own"
        assert not done(server, "a.json")
    with serving(server, tmp_path, DARKROOM_DESTINATIONS="team") as standalone:
        drawn = eventually(lambda: completed(standalone), "it is drawn")
        assert drawn["id"] != told["id"]
        assert drawn["data"]["images"][0]["key"].startswith("team/")
        eventually(lambda: done(server, "a.json"), "its file is done")
        assert standalone.process.metric("darkroom_renders_total") == 1


def completed(standalone: Standalone) -> dict[str, Any] | None:
    result = standalone.result("a.json", 1)
    return result if result and "images" in result["data"] else None


def done(server: SeaweedFS, key: str) -> bool:
    etag = server.client.head_object(Bucket="prompts", Key=key)["ETag"]
    return layout.file(ObjectRef("prompts", key, etag=etag).file_key) in listed(server, "files/")


def listed(server: SeaweedFS, prefix: str) -> list[str]:
    answer = server.client.list_objects_v2(Bucket="images", Prefix=prefix)
    return [row["Key"] for row in answer.get("Contents", ())]
