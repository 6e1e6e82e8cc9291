"""`make release`: what is installed without kustomize."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from function import __version__
from tests.checks.tree import ROOT
from tests.manifests.rendering import Rendering, name_of, overlays, rendered

# What there is in every installation; without Knative's pods, render is a Deployment.
NEEDED = {
    *(
        "Namespace/darkroom",
        "Broker/darkroom",
        "ConfigMap/darkroom",
        "CronJob/sweep",
        "Service/intake",
        "Service/render",
    ),
    *("Trigger/prompts-dropped", "Trigger/image-requested", "SinkBinding/intake", "SinkBinding/sweep"),
    *("ServiceAccount/intake", "ServiceAccount/render", "ServiceAccount/sweep", "NetworkPolicy/nobody"),
    *(f"EventType/dev.darkroom.{kind}" for kind in ("prompts.dropped", "image.requested")),
    *(f"EventType/dev.darkroom.image.{kind}" for kind in ("completed", "failed")),
}


PATCHES = [
    (path, patch)
    for path in sorted((ROOT / "knative").rglob("kustomization.yaml"))
    for patch in yaml.safe_load(path.read_text("utf-8")).get("patches", [])
]


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `make release` fills."""
    folder = tmp_path_factory.mktemp("release")
    # Not a part of the make that may have started the tests.
    alone = {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}}
    run = subprocess.run(
        ["make", "release", f"RELEASE={folder}"], cwd=ROOT, env=alone, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return folder


def test_a_release_is_a_file_for_each_overlay(release: Path) -> None:
    assert {path.stem for path in release.iterdir()} == {folder.removeprefix("overlays/") for folder in overlays()}


@pytest.mark.parametrize("folder", overlays())
def test_a_release_can_be_applied_as_it_is(release: Path, folder: str) -> None:
    text = (release / f"{folder.removeprefix('overlays/')}.yaml").read_text("utf-8")
    file = Rendering.of(text)
    assert file.objects == rendered(folder).objects
    names = {name_of(thing) for thing in file.objects}
    assert names >= NEEDED, NEEDED - names
    # Namespaces come before what lies in them.
    spaces = [name_of(thing) for thing in file.kind("Namespace")]
    assert [name_of(thing) for thing in file.objects[: len(spaces)]] == spaces
    local = folder == "overlays/local"
    # Whoever installs it makes the Secrets; only those of the trial are part of it.
    assert {thing["metadata"]["name"] for thing in file.kind("Secret")} == (
        {"darkroom-s3", "darkroom-door"} if local else set()
    )
    tags = set(re.findall(r"image: \S*/darkroom-\w+(?:-demo)?:(\S+)", text))
    assert tags == ({"local"} if local else {__version__})


@pytest.mark.parametrize(("path", "patch"), PATCHES, ids=lambda value: getattr(value, "parent", Path()).name or None)
def test_a_patch_deletes_one_thing_at_most(path: Path, patch: dict[str, str]) -> None:
    """The kustomize of kubectl 1.32 panics at two deletions in one patch."""
    text = patch["patch"] if "patch" in patch else (path.parent / patch["path"]).read_text("utf-8")
    assert text.count("$patch: delete") <= 1
