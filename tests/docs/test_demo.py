"""`make demo`, but for the environment that make builds: three prompts in, three pictures out, and nothing stays."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from function.demo.story import PROMPTS
from tests.docs.demo import Demo
from tests.judge import is_right


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """A demo that has ended."""
    with Demo(tmp_path_factory.mktemp("demo")) as demo:
        assert demo.wait() == 0, demo.errors
        yield demo


@pytest.fixture(scope="module")
def events(played: Demo) -> Mapping[str, dict[str, Any]]:
    """The printed events, by the key of the file that asked."""
    decoder, rest, found = json.JSONDecoder(), played.output, {}
    while rest.startswith("{"):
        event, end = decoder.raw_decode(rest)
        found[event["data"]["source_object"]["key"]] = event
        rest = rest[end:].lstrip()
    return found


def test_each_prompt_has_its_completion_event(events: Mapping[str, dict[str, Any]]) -> None:
    assert {key: event["type"] for key, event in events.items()} == dict.fromkeys(
        PROMPTS, "dev.darkroom.image.completed"
    )


def test_each_picture_is_the_one_of_its_event(played: Demo, events: Mapping[str, dict[str, Any]]) -> None:
    for key, event in events.items():
        picture = (played.folder / key).with_suffix(".png").read_bytes()
        assert hashlib.sha256(picture).hexdigest() == event["data"]["images"][0]["sha256"]


@pytest.mark.parametrize("key", PROMPTS)
def test_each_picture_shows_what_was_asked(played: Demo, key: str) -> None:
    with Image.open((played.folder / key).with_suffix(".png")) as picture:
        assert is_right(picture, PROMPTS[key]["prompt"])


def test_the_contact_sheet_shows_all(played: Demo) -> None:
    with Image.open(played.folder / "contact-sheet.png") as sheet:
        assert sheet.width > len(PROMPTS) * 128


def test_only_its_folder_is_written_to(played: Demo) -> None:
    assert {Path(name).parts[0] for name in played.written()} == {"demo"}


def test_each_step_is_shown(played: Demo) -> None:
    steps = played.errors.splitlines()
    assert len(steps) == 4 + len(PROMPTS), steps
    assert "the S3 server is up" in steps


def test_no_process_is_left(played: Demo) -> None:
    assert played.processes() == []
