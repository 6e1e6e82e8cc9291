"""What `make` does where a program is missing."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.darkroom import REPOSITORY

NEEDED = ("basename", "chmod", "make", "mkdir", "sh")


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A checkout with one overlay, in bin/ all programs that there are: neither Go nor kubectl."""
    shutil.copy(REPOSITORY / "Makefile", tmp_path)
    (tmp_path / "knative/overlays/small").mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    for name in NEEDED:
        (tmp_path / "bin" / name).symlink_to(shutil.which(name) or name)
    return tmp_path


def make_release(folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": str(folder / "bin")}
    return subprocess.run(["make", "release"], cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_manifests_that_nothing_can_render_are_an_error_in_one_sentence(bare: Path) -> None:
    done = make_release(bare)
    assert done.returncode != 0
    assert done.stderr.splitlines()[0] == "Manifests are rendered by kustomize: put Go or kubectl on the PATH."


def test_without_go_the_kustomize_in_kubectl_renders(bare: Path) -> None:
    kubectl = bare / "bin" / "kubectl"
    kubectl.write_text('#!/bin/sh\necho "$@" >"$3"\n')
    kubectl.chmod(0o755)
    done = make_release(bare)
    assert (done.returncode, done.stderr) == (0, "")
    rendered = (bare / "release" / "small.yaml").read_text("utf-8").split()
    assert rendered == ["kustomize", "--output", "release/small.yaml", "knative/overlays/small/"]
