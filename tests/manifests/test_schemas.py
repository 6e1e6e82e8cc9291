"""Every manifest against the schemas of its API, strictly; and the schemas themselves."""

from __future__ import annotations

import json

import pytest

from tests.manifests.broken import BROKEN, Broken
from tests.manifests.rendering import Rendering, every_folder, rendered
from tests.manifests.strict import HEAD, SCHEMAS, faults, kind_of, kinds

CAUGHT = [case for case in BROKEN if case.rule is None]


def sentences(rendering: Rendering) -> list[str]:
    return [sentence for thing in rendering.objects for sentence in faults(thing)]


@pytest.mark.parametrize("folder", every_folder())
def test_every_object_is_what_its_api_takes(folder: str) -> None:
    rendering = rendered(folder)
    assert rendering.objects
    assert sentences(rendering) == []


@pytest.mark.parametrize("case", CAUGHT, ids=lambda case: case.fault)
def test_what_no_api_takes_is_found(case: Broken) -> None:
    (said,) = sentences(case.rendering)
    assert said.startswith(f"{case.target}: ")
    assert case.says in said


def test_no_schema_is_vendored_for_nobody() -> None:
    used = {kind_of(thing) for folder in every_folder() for thing in rendered(folder).objects}
    assert used == set(kinds())


def test_every_file_of_schemas_says_where_it_is_from() -> None:
    for path in SCHEMAS.glob("*.json"):
        head = json.loads(path.read_text("utf-8"))
        assert head.keys() >= HEAD, path.name
        assert head["license"] == "Apache-2.0", path.name
        # Named in the page beside them, too.
        assert f"| `{path.name}` | {head['source']} | {head['version']} |" in (SCHEMAS / "README.md").read_text("utf-8")
