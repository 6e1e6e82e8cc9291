"""The published schemas: made from the code, true to themselves, and shipped."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator, ValidationError

from events import DATASCHEMA, IMAGE_COMPLETED, IMAGE_FAILED, IMAGE_REQUESTED, PROMPTS_DROPPED
from events.contract import PUBLISHED, published
from events.contract.__main__ import FOLDER, documents
from events.contract.data import Code
from events.contract.event import CloudEvent
from events.contract.examples import examples
from events.prompt import InvalidPrompt, validate
from events.request import COPIED
from function.cli import main
from tests.checks.tree import ROOT
from tests.contract.validate import schema_of, validated

SCHEMAS = sorted(set(PUBLISHED) - {"asyncapi"})


def test_the_committed_files_are_those_of_the_code() -> None:
    committed = {path.name: path.read_text("utf-8") for path in FOLDER.iterdir()}
    assert committed == documents(), "run: make docs"
    assert set(committed) == set(PUBLISHED.values())


@pytest.mark.parametrize("name", SCHEMAS)
def test_each_is_a_schema_whose_examples_keep_to_it(name: str) -> None:
    schema = json.loads(published(name))
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["examples"]
    for example in schema["examples"]:
        Draft202012Validator(schema).validate(example)


@pytest.mark.parametrize("kind", DATASCHEMA)
def test_dataschema_is_the_name_that_the_schema_gives_itself(kind: str) -> None:
    assert schema_of(kind)["$id"] == DATASCHEMA[kind]


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_field_is_described(name: str) -> None:
    bare = [where for where, field in fields(json.loads(published(name))) if not field.get("description")]
    assert bare == []


def fields(schema: Any, where: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every property in a schema, with where it is."""
    if isinstance(schema, list):
        for each in schema:
            yield from fields(each, where)
    elif isinstance(schema, dict):
        for name, value in schema.items():
            if name == "properties":
                yield from ((f"{where}/{field}", described) for field, described in value.items())
            if name != "examples":
                yield from fields(value, f"{where}/{name}")


@pytest.mark.parametrize("kind", DATASCHEMA)
def test_each_event_has_an_example(kind: str) -> None:
    assert validated(examples()[kind])["type"] == kind


GONE = object()
BREAKS = [
    (PROMPTS_DROPPED, "data.object", GONE),
    (PROMPTS_DROPPED, "data.object.size", "7"),
    (IMAGE_REQUESTED, "data.promt", "a red star"),
    (IMAGE_REQUESTED, "batchindex", "0"),
    (IMAGE_REQUESTED, "subject", None),
    (IMAGE_COMPLETED, "data.images.0.url", GONE),
    (IMAGE_COMPLETED, "data.images.0.url_expires_at", "soon"),
    (IMAGE_COMPLETED, "data.unpromised", 1),
    (IMAGE_COMPLETED, "data.prompt.seed", GONE),
    (IMAGE_COMPLETED, "causationid", GONE),
    (IMAGE_FAILED, "data.code", "bad_luck"),
    (IMAGE_FAILED, "data.source_object", None),
    (IMAGE_FAILED, "data.message", "a" * (64 << 10)),
    (IMAGE_FAILED, "time", "2026-11-24T10:00:00"),
    (IMAGE_FAILED, "ce-id", "1"),
    (IMAGE_FAILED, "nested", {}),
    *((kind, "dataschema", GONE) for kind in DATASCHEMA),
    *((kind, "specversion", "0.3") for kind in DATASCHEMA),
    *((kind, "id", "") for kind in DATASCHEMA),
    *((kind, "type", "dev.darkroom.other") for kind in DATASCHEMA),
]


@pytest.mark.parametrize(("kind", "path", "value"), BREAKS, ids=[f"{kind}:{path}" for kind, path, _ in BREAKS])
def test_an_event_that_breaks_its_contract_is_noticed(kind: str, path: str, value: object) -> None:
    event = copy.deepcopy(examples()[kind])
    *parents, name = path.split(".")
    part: Any = event
    for parent in parents:
        part = part[int(parent) if parent.isdigit() else parent]
    if value is GONE:
        del part[name]
    else:
        part[name] = value
    with pytest.raises(AssertionError, match=r"contract|no event|schema|64 KiB"):
        validated(event)


@pytest.mark.parametrize("kind", [PROMPTS_DROPPED, IMAGE_COMPLETED, IMAGE_FAILED])
def test_a_subscriber_with_an_old_schema_reads_the_events_of_a_later_version(kind: str) -> None:
    later = copy.deepcopy(examples()[kind]["data"]) | {"added": 1}
    for part in ("object", "model", "prompt"):
        if part in later:
            later[part]["added"] = True
    if kind == IMAGE_FAILED:
        later["code"] = "bad_luck"
    Draft202012Validator(schema_of(kind)).validate(later)


def test_other_extensions_may_appear() -> None:
    for event in examples().values():
        assert validated(event | {"tenant": "tests", "attempt": 2, "urgent": False})


def test_every_code_is_listed() -> None:
    kinds = schema_of(IMAGE_FAILED)["properties"]["code"]["anyOf"]
    assert kinds[0]["enum"] == list(get_args(Code))


def test_what_is_copied_is_promised() -> None:
    assert set(COPIED) <= set(CloudEvent.model_fields)


@pytest.mark.parametrize(
    "prompt",
    [
        {"prompt": "a red star"},
        {"prompt": "a", "width": 64, "height": 2048, "seed": 2**64 - 1, "num_images": 16, "guidance_scale": 0},
        {"prompt": "a", "negative_prompt": None, "seed": None, "scheduler": "DDIMScheduler"},
        {"prompt": " \n"},
        {"prompt": "ab" * 2001},
        {"prompt": "a", "width": 100},
        {"prompt": "a", "seed": 2**64},
        {"prompt": "a", "num_images": True},
        {"prompt": "a", "scheduler": "other"},
        {"promt": "a"},
        ["a"],
    ],
    ids=lambda prompt: repr(prompt)[:60],
)
def test_the_schema_of_a_prompt_says_what_the_code_says(prompt: Any) -> None:
    try:
        validate(prompt)
        valid = True
    except InvalidPrompt:
        valid = False
    for name in ("prompt", "requested"):
        try:
            Draft202012Validator(json.loads(published(name))).validate(prompt)
            assert valid, f"{name}: the schema takes what the code refuses"
        except ValidationError:
            assert not valid, f"{name}: the schema refuses what the code takes"


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_command_prints_each(name: str) -> None:
    run = CliRunner().invoke(main, ["schema", name])
    assert run.exit_code == 0
    assert run.output == published(name)


def test_a_wrong_name_lists_them() -> None:
    run = CliRunner().invoke(main, ["schema", "pictures"])
    assert run.exit_code == 2
    assert all(name in run.output for name in PUBLISHED)


def test_the_wheel_has_them(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    run = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {f"events/schemas/{file}" for file in PUBLISHED.values()} <= names
