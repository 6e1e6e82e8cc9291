"""What docs/install.md adds for prompts of more than words: render is told where each thing is that the Job fetches."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path, PurePosixPath
from typing import Any, Final

import pytest
import yaml

from function.config import Settings
from function.doctor.model import SOURCES
from tests.checks.tree import ROOT
from tests.docs.test_readme import blocks
from tests.manifests.rendering import KNATIVE, Manifest, Rendering, build, every_folder
from tests.manifests.rules import broken
from tests.manifests.rules.pods import variables
from tests.manifests.strict import faults

SECTION: Final = (
    (ROOT / "docs/install.md").read_text("utf-8").partition("### More than words")[2].partition("\n### ")[0]
)
LIST: Final = '{"ink": {"kind": "lora", "path": "ink.safetensors", "sha256": "%s"}}' % ("0" * 64)


@pytest.fixture(scope="module")
def ours() -> Rendering:
    """The folder of the page, on an overlay with a GPU."""
    (block,) = [block for block in blocks(SECTION) if block.kind == "yaml"]
    folder: dict[str, Any] = yaml.safe_load(block.text)
    with tempfile.TemporaryDirectory(dir=ROOT / ".cache") as scratch:
        folder["resources"] = [os.path.relpath(KNATIVE / "overlays/minio", scratch)]
        folder["components"] = [
            os.path.relpath(KNATIVE / path.removeprefix("../knative/"), scratch) for path in folder["components"]
        ]
        folder["generatorOptions"] = {"disableNameSuffixHash": True}
        (Path(scratch) / "adapters.json").write_text(LIST, "utf-8")
        (Path(scratch) / "kustomization.yaml").write_text(yaml.safe_dump(folder), "utf-8")
        return Rendering.of(build(Path(scratch)))


@pytest.fixture(scope="module")
def settings(ours: Rendering) -> Settings:
    """Those of render."""
    (container,) = ours.get("Service/render")["spec"]["template"]["spec"]["containers"]
    return Settings.from_environment(variables(container, ours))


def job(ours: Rendering) -> Manifest:
    found: Manifest = ours.get("Job/prefetch")["spec"]["template"]["spec"]
    return found


def test_no_rule_is_broken_and_all_is_what_its_api_takes(ours: Rendering) -> None:
    assert broken(ours) == []
    assert [fault for thing in ours.objects for fault in faults(thing)] == []


def test_render_is_told_of_all_that_the_page_sets(settings: Settings) -> None:
    assert settings.input_buckets == ("inputs",)
    assert settings.destinations == ("team", "press")
    assert settings.generate
    assert settings.door_token


def test_each_thing_is_fetched_to_where_render_looks_for_it(ours: Rendering, settings: Settings) -> None:
    boxes = [*job(ours)["initContainers"], *job(ours)["containers"]]
    assert len({box["name"] for box in boxes}) == len(boxes)
    fetched = {box["name"]: box["args"] for box in boxes}
    folders = {name: args[2] for name, args in fetched.items()}
    assert folders.pop("adapters") == str(PurePosixPath(settings.adapters or "").parent)
    assert folders == {"model": settings.model, "vae": settings.vae, "refiner": settings.refiner}
    assert PurePosixPath(fetched["adapters"][1]).name == PurePosixPath(settings.adapters or "").name
    for box in boxes:
        assert {"name": "model", "mountPath": "/models"} in box["volumeMounts"]
    # What the doctor says is fetched, too.
    assert {args[1] for name, args in fetched.items() if name != "adapters"} == {*SOURCES.values()}


def test_the_list_is_where_the_job_looks_for_it(ours: Rendering) -> None:
    (box,) = [box for box in job(ours)["initContainers"] if box["name"] == "adapters"]
    (mount,) = [mount for mount in box["volumeMounts"] if mount["name"] == "adapters"]
    path = PurePosixPath(box["args"][1])
    assert str(path.parent) == mount["mountPath"]
    (volume,) = [volume for volume in job(ours)["volumes"] if volume["name"] == "adapters"]
    assert ours.get(f"ConfigMap/{volume['configMap']['name']}")["data"][path.name] == LIST


def test_every_component_and_setting_that_is_named_is_there_and_every_such_component_is_named() -> None:
    components = set(re.findall("knative/(components/[a-z0-9-]+)", SECTION))
    assert components == {f"components/{name}" for name in ("adapters", "refiner", "c2pa", "generate")}
    assert components <= {*every_folder()}
    named = {name.removeprefix("DARKROOM_").lower() for name in re.findall("DARKROOM_[A-Z_]+", SECTION)}
    assert named <= {*Settings.model_fields}
