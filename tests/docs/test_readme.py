"""The README is true: its commands run as written, its answers are what comes back, its tests and links exist."""

from __future__ import annotations

import ast
import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from function.config import unknown
from tests.darkroom import REPOSITORY
from tests.docs.demo import Demo

README = REPOSITORY / "README.md"
PAGES = [README, *(REPOSITORY / name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"))]
PAGES += [REPOSITORY / "models" / "shapes" / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]

LONGEST = 160  # lines beside the tables
RUN = {"sh": ["bash", "-eu", "-o", "pipefail", "-c"], "python": [sys.executable, "-c"]}
EXAMPLE = {"json", "text"}
ELSEWHERE = {"sh gpu", "sh cluster"}
# SeaweedFS takes six seconds for a key that 32 create at once.
LESS = '[ "$1" != check-store ] || set -- "$@" --racers=8 --keys=2'


@dataclass(frozen=True)
class Block:
    """A fenced block: where it begins, what it says that it is, and what is in it."""

    line: int
    kind: str
    text: str

    def __str__(self) -> str:
        return f"README.md, line {self.line}"

    @property
    def is_make(self) -> bool:
        """Whether it calls nothing but make, which runs these tests or what test_demo.py runs."""
        return all(line.startswith("make ") for line in self.text.splitlines())


def blocks(text: str) -> list[Block]:
    fenced = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    return [Block(text.count("\n", 0, found.start()) + 1, found[1], found[2]) for found in fenced.finditer(text)]


BLOCKS = blocks(README.read_text("utf-8"))


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """`make demo KEEP=1`, but for the environment that make builds."""
    with Demo(tmp_path_factory.mktemp("kept"), "--keep") as demo:
        yield demo
        if sys.platform == "linux":
            assert len(demo.processes()) >= 3, "the demo, the S3 server and darkroom"
        assert demo.stop() == 0, demo.errors
        assert demo.processes() == []


def test_every_block_runs_and_answers_as_written(kept: Demo, tmp_path: Path) -> None:
    environment = dict(os.environ) | kept.wait_invitation() | commands(tmp_path)
    follower, ran = dict(itertools.pairwise(BLOCKS)), 0
    for block in BLOCKS:
        if block.kind not in RUN or block.is_make:
            continue
        run = subprocess.run(
            [*RUN[block.kind], block.text],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert run.returncode == 0, f"{block} failed:\n{run.stdout}\n{run.stderr}\n{log(kept)}"
        ran += 1
        after = follower.get(block)
        if after and after.kind in EXAMPLE:
            assert resembles(run.stdout, after), f"{block} printed something else than is shown:\n{run.stdout}"
        elif "curl" in block.text:
            assert json.loads(run.stdout)["type"] == "dev.darkroom.image.completed", f"{block}: {run.stdout}"
    assert ran >= 5


def commands(folder: Path) -> dict[str, str]:
    """An environment as activated, with `darkroom` and `python` in it; `check-store` races for fewer keys."""
    (folder / "bin").mkdir()
    for name, arguments in (("darkroom", "-m function.cli"), ("python", "")):
        script = folder / "bin" / name
        script.write_text(f'#!/bin/sh\n{LESS}\nexec "{sys.executable}" {arguments} "$@"\n', "utf-8")
        script.chmod(0o755)
    return {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": str(REPOSITORY)}


def log(demo: Demo) -> str:
    return "\n".join((demo.folder / "data" / "darkroom.log").read_text("utf-8").splitlines()[-20:])


def resembles(printed: str, example: Block) -> bool:
    """Whether the two are the same but for digits, digests and what the example leaves out with …, such as fields."""
    if example.kind == "json":
        return alike(json.loads(printed), json.loads(example.text))
    return alike(printed.strip(), example.text.strip())


def alike(printed: object, shown: object) -> bool:
    if isinstance(shown, dict) and isinstance(printed, dict):
        named = {name: value for name, value in shown.items() if name != "…"}
        all_there = named.keys() <= printed.keys() if "…" in shown else named.keys() == printed.keys()
        return all_there and all(alike(printed[name], value) for name, value in named.items())
    if isinstance(shown, list) and isinstance(printed, list):
        return len(shown) == len(printed) and all(map(alike, printed, shown))
    if isinstance(shown, str) and isinstance(printed, str):
        shown, printed = (re.sub(r"\d+", "0", re.sub(r"\b[0-9a-f]{32,}\b", "0", text)) for text in (shown, printed))
        return re.fullmatch(re.escape(shown).replace("…", ".*"), printed, re.DOTALL) is not None
    return type(shown) is type(printed) and (type(shown) in (int, float) or shown == printed)


def test_an_example_that_shows_something_else_is_noticed() -> None:
    shown = Block(1, "json", '{"id": "…", "size": 120, "faults": [{"where": "width"}]}')
    assert resembles('{"id": "ab c", "size": 7, "faults": [{"where": "width"}]}', shown)
    assert not resembles('{"id": "ab", "size": 7, "faults": [{"where": "height"}]}', shown)
    assert not resembles('{"id": "ab", "size": 7, "faults": []}', shown)
    assert not resembles('{"id": "ab", "size": "7", "faults": [{"where": "width"}]}', shown)
    assert not resembles("key 12\nmore", Block(1, "text", "key 1\n"))
    some = Block(1, "json", '{"a": 1, "b": null, "…": "…"}')
    assert resembles('{"a": 2, "b": null, "c": true}', some)
    assert not resembles('{"a": 2.5, "b": null, "c": true}', some)
    assert not resembles('{"a": 2, "b": 0, "c": true}', some)
    assert not resembles('{"a": 2, "c": true}', some)


def test_every_block_says_what_it_is() -> None:
    strangers = [f"{block}: {block.kind!r}" for block in BLOCKS if block.kind not in {*RUN, *EXAMPLE, *ELSEWHERE}]
    assert strangers == []


def test_every_example_follows_a_block_that_runs() -> None:
    for block, after in itertools.pairwise(BLOCKS):
        assert after.kind not in EXAMPLE or block.kind in RUN, f"{after}: nothing before it prints this"


def test_make_knows_what_it_is_asked_for() -> None:
    lines = [line for block in BLOCKS if block.kind == "sh" and block.is_make for line in block.text.splitlines()]
    assert {"make demo", "make test"} <= {line.partition("#")[0].strip() for line in lines}
    for line in lines:
        words = line.partition("#")[0].split()
        run = subprocess.run([*words, "--dry-run"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
        assert run.returncode == 0, f"{line}: {run.stderr}"


def test_blocks_for_other_machines_are_shell_and_set_only_what_there_is() -> None:
    marked = [block for block in BLOCKS if block.kind in ELSEWHERE]
    assert marked
    for block in marked:
        run = subprocess.run(["bash", "-n", "-c", block.text], capture_output=True, text=True, check=False)
        assert run.returncode == 0, f"{block}: {run.stderr}"
        assert unknown(dict.fromkeys(re.findall(r"\b(DARKROOM_\w+)=", block.text), "")) == [], block


def test_every_test_that_is_named_exists() -> None:
    text = "".join(page.read_text("utf-8") for page in PAGES)
    named = set(re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", text))
    assert len(named) >= 10
    for path, name in sorted(named):
        assert (REPOSITORY / path).is_file(), path
        defined = {node.name for node in ast.walk(ast.parse((REPOSITORY / path).read_text("utf-8")))
                   if isinstance(node, ast.FunctionDef)}  # fmt: skip
        assert not name or name in defined, f"{path}::{name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_every_link_leads_somewhere_and_nothing_is_left_to_fill_in(page: Path) -> None:
    text = page.read_text("utf-8")
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", text)
    assert [link for link in links if not (page.parent / link).exists()] == []
    assert re.findall(r"\{\{.*?\}\}", text) == []


def test_it_stays_short() -> None:
    lines = README.read_text("utf-8").splitlines()
    assert len([line for line in lines if not line.startswith("|")]) <= LONGEST
