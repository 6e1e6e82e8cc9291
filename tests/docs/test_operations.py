"""docs/operations.md is true: its commands run as written, answer as is shown, and exist with their options."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final, get_args

import pytest

from events import IMAGE_REQUESTED
from events.contract.data import Code
from function import layout
from function.cli import main
from tests.backstops.house import PROMPT, House, dead, key
from tests.darkroom import REPOSITORY, eventually, outcome_of
from tests.docs.test_readme import RUN, blocks, commands, resembles
from tests.servers.broker import Broker
from tests.servers.minio import Minio

PAGE: Final = (REPOSITORY / "docs" / "operations.md").read_text("utf-8")
BLOCKS: Final = blocks(PAGE)


@pytest.fixture
def installation(minio: Minio, tmp_path: Path) -> Iterator[tuple[House, dict[str, str]]]:
    """Buckets with a failure that has a dead letter, a file without an outcome, a broker, and who works behind it."""
    with ExitStack() as running:
        house = House.on(minio, tmp_path, running)
        broker = running.enter_context(Broker())
        render, archive = house.drawing(), house.process("archive")
        broker.trigger(IMAGE_REQUESTED, render.url + "/", at_once=1)
        late = render.event(PROMPT, id="late", expirytime="2026-11-23T10:00:00Z")
        assert outcome_of(late)["data"]["code"] == "expired"
        letter = json.dumps(dead("late")).encode()
        assert archive.post("/", letter, {"content-type": "application/cloudevents+json"}).status == 202
        minio.client.put_object(Bucket=house.prompts, Key="cats/next.json", Body=json.dumps(PROMPT).encode())
        named = {"OBJECT": f"{house.prompts}/cats/next.json", "KEY": key("late"), "K_SINK": broker.url}
        yield house, dict(os.environ) | minio.environment | house.settings | named | commands(tmp_path)
        eventually(lambda: broker.idle, "all that was sent is through")
        assert broker.dead == []


def test_every_block_runs_and_answers_as_written(installation: tuple[House, dict[str, str]]) -> None:
    house, environment = installation
    follower, ran = dict(itertools.pairwise(BLOCKS)), 0
    for block in BLOCKS:
        if block.kind not in RUN:
            continue
        command = [*RUN[block.kind], block.text]
        run = subprocess.run(
            command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert run.returncode == 0, f"line {block.line} failed:\n{run.stdout}\n{run.stderr}"
        ran += 1
        after = follower.get(block)
        if after and after.kind == "text":
            assert resembles(run.stdout, after), f"line {block.line} printed something else:\n{run.stdout}"
    assert ran >= 7
    eventually(lambda: house.renders() == [PROMPT["prompt"]], "the retry is drawn, and nothing else")
    rules = house.server.client.get_bucket_lifecycle_configuration(Bucket=house.images)["Rules"]
    assert {rule["Filter"]["Prefix"] for rule in rules} == {layout.DEAD, layout.FILES, layout.TOLD}


def test_every_block_is_run_or_shown() -> None:
    assert {block.kind for block in BLOCKS} <= {*RUN, "text"}
    assert all(after.kind in RUN or before.kind in RUN for before, after in itertools.pairwise(BLOCKS))


def test_every_command_and_code_that_is_named_exists() -> None:
    named = set(re.findall(r"\bdarkroom ([a-z][a-z-]+)", PAGE))
    assert {"archive", "replay", "retry", "status", "sweep", "check-store"} <= named <= set(main.commands)
    options = set(re.findall(r"(--[a-z-]+)", "\n".join(re.findall(r"darkroom [^`\n|]*", PAGE))))
    known = {name for command in main.commands.values() for option in command.params for name in option.opts}
    assert options <= known
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", PAGE, re.MULTILINE)
    codes = {code for row in rows for code in re.findall(r"\w+", row)}
    assert codes
    assert codes <= set(get_args(Code))
