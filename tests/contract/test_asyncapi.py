"""The AsyncAPI document passes AsyncAPI's own parser, and its examples are those that it describes."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from events.contract import published
from tests.absent import absent
from tests.checks.tree import ROOT

HERE = Path(__file__).parent
ERROR = 0


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    read: dict[str, Any] = json.loads(published("asyncapi"))
    return read


@pytest.fixture(scope="module")
def parser() -> Path:
    """A folder in which the parser that the lock pins is installed, once for all runs."""
    if shutil.which("npm") is None:
        absent("AsyncAPI's parser needs Node.js, and there is no npm on the PATH")
    lock = (HERE / "package-lock.json").read_bytes()
    folder = ROOT / ".cache" / "asyncapi" / hashlib.sha256(lock).hexdigest()[:16]
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, folder)
        run = subprocess.run(
            ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert run.returncode == 0, f"npm ci failed:\n{run.stdout}\n{run.stderr}"
        (folder / "complete").touch()
    return folder


def test_the_official_parser_finds_no_error(parser: Path, tmp_path: Path) -> None:
    right, broken = tmp_path / "asyncapi.json", tmp_path / "broken.json"
    right.write_text(published("asyncapi"), "utf-8")
    broken.write_text(right.read_text("utf-8").replace('"#/components/schemas/Prompt"', '"#/components/none"'), "utf-8")
    run = subprocess.run(
        ["node", HERE / "parse.cjs", right, broken],
        cwd=parser,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    of_right, of_broken = json.loads(run.stdout)
    assert of_right["read"]
    assert [said for said in of_right["said"] if said["severity"] == ERROR] == []
    assert [said["code"] for said in of_broken["said"] if said["severity"] == ERROR] == ["invalid-ref"]


def test_the_lock_names_no_host_to_download_from() -> None:
    lock = json.loads((HERE / "package-lock.json").read_text("utf-8"))
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert packages
    assert [name for name, package in packages.items() if "resolved" in package] == []
    assert [name for name, package in packages.items() if "integrity" not in package] == []


def test_every_example_keeps_to_its_message(document: dict[str, Any]) -> None:
    checked = 0
    for name, message in document["components"]["messages"].items():
        for example in message.get("examples", ()):
            for part in example:
                schema = {**document, **message[part]}
                faults = [fault.message for fault in Draft202012Validator(schema).iter_errors(example[part])]
                assert faults == [], f"{name}, {part}"
                checked += 1
    assert checked >= 10


def test_every_message_is_used(document: dict[str, Any]) -> None:
    used = {name for channel in document["channels"].values() for name in channel["messages"]}
    assert set(document["components"]["messages"]) == used
