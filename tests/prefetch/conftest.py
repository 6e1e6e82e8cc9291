"""Fixtures: a hub with models/shapes among what else hubs hold, and `darkroom prefetch` as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.darkroom import MODEL, REPOSITORY
from tests.prefetch.hub import Hub, serving

PROGRAM = ("-m", "function.cli", "prefetch")
# What other formats and precisions lie beside a model's files; with a folder of which the index knows nothing.
BESIDE = {
    ".gitattributes": b"*.safetensors filter=lfs\n",
    "README.md": b"# Shapes\n",
    "shapes.safetensors": b"everything in one file",
    "unet/diffusion_pytorch_model.bin": b"pickled",
    "unet/diffusion_pytorch_model.fp16.safetensors": b"half as precise",
    "unet/model.onnx": b"another format",
    "vae_1_0/config.json": b"{}",
    "vae_1_0/diffusion_pytorch_model.safetensors": b"an older one",
    "tokenizer/run.py": b"raise SystemExit",
}


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file in a folder, by its path in it."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="session")
def shapes() -> dict[str, bytes]:
    """What the renderer needs of models/shapes."""
    return {
        name: content
        for name, content in files_of(REPOSITORY / MODEL).items()
        if name not in ("README.md", "SHA256SUMS") and "__pycache__" not in name
    }


@pytest.fixture
def hub(shapes: dict[str, bytes]) -> Iterator[Hub]:
    with serving(Hub(shapes | BESIDE)) as hub:
        yield hub


@dataclass(frozen=True)
class Said:
    """What became of a command."""

    code: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """The one sentence that a refusal is; fails the test if it is anything else."""
        lines = [line for line in self.err.splitlines() if not line.startswith("{")]
        assert self.code == 1, self
        assert len(lines) == 1, self
        assert lines[0].startswith("Error: "), self
        return lines[0].removeprefix("Error: ")


def started(
    model: str | Path, folder: Path, *options: str, hub: Hub | None = None, **environment: str
) -> subprocess.Popen[str]:
    """The command, in an environment that knows this hub and no other."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith(("DARKROOM_", "HF_"))}
    # Without one, where nobody listens.
    mine |= {"HF_ENDPOINT": hub.url if hub else "http://127.0.0.1:9", "HOME": "/nonexistent"}
    return subprocess.Popen(
        [sys.executable, *PROGRAM, str(model), str(folder), *options],
        env=mine | {"PYTHONDONTWRITEBYTECODE": "1"} | environment,
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def prefetch(model: str | Path, folder: Path, *options: str, hub: Hub | None = None, **environment: str) -> Said:
    """Run the command to its end."""
    with started(model, folder, *options, hub=hub, **environment) as process:
        try:
            out, err = process.communicate(timeout=180)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    return Said(process.returncode, out, err)
