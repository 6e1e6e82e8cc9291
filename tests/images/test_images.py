"""The built images, run as a cluster runs them: as some number, and with nowhere to write.

Only with DARKROOM_IMAGES=1, after `make image`; DARKROOM_IMAGES=ghcr.io/example/darkroom-{}:1.0 names others.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from typing import Final

import pytest

from tests.images.dockerfile import ROOT, TARGETS

GIVEN: Final = os.environ.get("DARKROOM_IMAGES", "")
NAMED: Final = GIVEN if "{}" in GIVEN else "dev.local/darkroom-{}:local"
OURS: Final = [target for target in TARGETS if target != "minio"]
CONFINED: Final = ("--read-only", "--network=none", "--cap-drop=all", "--user", "54321:54321")

if not GIVEN:
    pytest.skip("images take minutes to build: `make image`, then DARKROOM_IMAGES=1", allow_module_level=True)

# Prints what of the image's own files could be written, what has no .pyc, and which of these can be imported.
LOOK = """
import compileall, importlib.util, json, os, pathlib
ours = [path for top in ("/opt/venv", "/opt/darkroom") for path in pathlib.Path(top).rglob("*")]
sources = [path for path in ours if path.suffix == ".py" and path.stem.isidentifier() and path.parent.name != "bin"]
print(json.dumps({
    "user": os.getuid(),
    "writable": [str(path) for path in ours if os.access(path, os.W_OK)][:9],
    "unreadable": [str(path) for path in ours if not os.access(path, os.R_OK)][:9],
    "uncompiled": [str(p) for p in sources if not pathlib.Path(importlib.util.cache_from_source(p)).exists()],
    "there": [name for name in ("torch", "pip", "hatchling", "flask") if importlib.util.find_spec(name)],
}))
"""
DRAW = """
import os
from function.render.sdxl import SdxlRenderer
from events.prompt import Prompt
renderer = SdxlRenderer(model=os.environ["DARKROOM_MODEL"], device="cpu")
renderer.load()
print(len(renderer.render(Prompt(prompt="a red star on a white background", num_inference_steps=2), 1, int).pictures))
"""


@pytest.fixture(scope="module")
def builder() -> list[str]:
    """Podman or docker; buildah builds, and runs nothing by its name."""
    found = subprocess.run(
        ["sh", ROOT / "tests" / "images" / "builder.sh"], capture_output=True, text=True, check=True
    ).stdout
    return shlex.split(found)


def run(builder: list[str], target: str, *command: str, options: tuple[str, ...] = ()) -> str:
    done = subprocess.run(
        [*builder, "run", "--rm", *CONFINED, *options, NAMED.format(target), *command],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{target}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("target", OURS)
def test_an_image_runs_with_nowhere_to_write_as_whoever_it_is_told_to(builder: list[str], target: str) -> None:
    assert "Usage: darkroom" in run(builder, target, "--help")
    seen = json.loads(run(builder, target, "-c", LOOK, options=("--entrypoint", "python")))
    assert seen.pop("there") == (["flask"] if target == "intake" else ["torch", "flask"])
    assert len(seen.pop("uncompiled")) < 20  # some wheels hold examples of what does not compile
    assert seen == {"user": 54321, "writable": [], "unreadable": []}


def test_what_draws_draws(builder: list[str]) -> None:
    """On the first start, without a home or a folder for temporary files."""
    assert run(builder, "render-demo", "-c", DRAW, options=("--entrypoint", "python")).splitlines()[-1] == "1"


def test_a_model_is_fetched_into_a_volume(builder: list[str]) -> None:
    said = run(
        builder,
        "render-demo",
        *("prefetch", "models/shapes", "/models/shapes"),
        options=("--mount", "type=tmpfs,destination=/models,tmpfs-mode=1777"),
    )
    assert said.startswith("/models/shapes holds models/shapes, whole and checked")


def test_minio_needs_nothing_beside_itself(builder: list[str]) -> None:
    assert "minio version" in run(builder, "minio", "--version")


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_is_what_the_manifests_count_on(builder: list[str], target: str) -> None:
    inspected = subprocess.run(
        [*builder, "image", "inspect", NAMED.format(target)], capture_output=True, check=True
    ).stdout
    config = json.loads(inspected)[0]["Config"]
    assert config["User"] == "65532:65532"
    assert config["Entrypoint"] == (["/minio"] if target == "minio" else ["darkroom"])
    assert config["Labels"]["org.opencontainers.image.title"] == f"darkroom-{target}"
    if target != "minio":
        assert config["Labels"]["org.opencontainers.image.version"]


@pytest.mark.parametrize("target", TARGETS)
def test_sizes(builder: list[str], target: str) -> None:
    """Reported, with what makes them up."""
    shown = subprocess.run(
        [*builder, "history", "--no-trunc", "--format", "{{.Size}}\t{{.CreatedBy}}", NAMED.format(target)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    layers = [line for line in shown.splitlines() if not line.startswith(("0 B", "0B"))]
    assert layers
    print("\n".join([f"\n{target}:", *(line[:150] for line in layers)]))
