"""Fixtures: a hub with models/shapes among what else hubs hold, and `darkroom prefetch` as a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from function.demo.process import plain_environment
from tests.darkroom import MODEL, REPOSITORY, darkroom
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


def around(hub: Hub | None = None) -> dict[str, str]:
    """What lets the command know this hub and no other; without one, where nobody listens."""
    url = hub.url if hub else "http://127.0.0.1:9"
    return {"HF_ENDPOINT": url, "HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"}


def started(model: str, folder: Path, hub: Hub) -> subprocess.Popen[bytes]:
    """The command, under way."""
    command = [sys.executable, *PROGRAM, model, str(folder)]
    return subprocess.Popen(command, env=plain_environment() | around(hub), cwd=REPOSITORY)


def prefetch(
    model: str | Path, folder: Path, *options: str, hub: Hub | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """The command to its end."""
    return darkroom("prefetch", str(model), str(folder), *options, **around(hub) | environment)
