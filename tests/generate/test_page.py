"""docs/generate.md is true: its blocks run as written, and what its tables name is there."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
from pathlib import Path
from typing import Final

from PIL import Image

from function.doors.generate import OF_ALL, OF_AN_IMAGE
from function.doors.openai import UNHEEDED, USUAL
from function.errors import DarkroomError
from tests.darkroom import REPOSITORY
from tests.docs.test_readme import RUN, blocks, commands, resembles
from tests.fuzz.fuzzing import kinds
from tests.generate.conftest import Waiting
from tests.judge import is_right

PAGE: Final = (REPOSITORY / "docs" / "generate.md").read_text("utf-8")
BLOCKS: Final = blocks(PAGE)
PICTURES: Final = {
    "star.png": "a red star on a white background",
    "ring.png": "a yellow ring on a purple background",
}


def test_every_block_runs_and_answers_as_written(waiting: Waiting, tmp_path: Path) -> None:
    buckets = {"DARKROOM_IMAGE_BUCKET": waiting.images, "URL": waiting.process.url, "TOKEN": "any"}
    environment = dict(os.environ) | waiting.server.environment | buckets | commands(tmp_path)
    for block, after in itertools.pairwise([*BLOCKS, None]):
        assert block is not None
        if block.kind not in RUN:
            assert block.kind == "text"
            continue
        run = subprocess.run(
            [*RUN[block.kind], block.text],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert run.returncode == 0, f"line {block.line} failed:\n{run.stdout}\n{run.stderr}"
        if after and after.kind == "text":
            printed = run.stdout.replace(waiting.images, "images")
            assert resembles(printed, after), f"line {block.line} printed something else:\n{run.stdout}"
    for name, caption in PICTURES.items():
        with Image.open(tmp_path / name) as image:
            assert is_right(image, caption)


def test_the_table_of_failures_has_every_status_that_there_is() -> None:
    table = PAGE.partition("| status | code |")[2].partition("\n\n")[0]
    named = {int(status) for row in re.findall(r"^\| ([\d, ]+) \|", table, re.MULTILINE) for status in row.split(", ")}
    # An outcome that is a failure is none of 200 here, but 400 or 422.
    assert named == {DarkroomError.event_status} | {kind.event_status for kind in kinds()} - {200}


def test_every_field_is_named() -> None:
    named = set(re.findall(r"`(\w+)`", PAGE))
    assert {*OF_AN_IMAGE, *OF_ALL, *USUAL, *UNHEEDED} - named == set()
