"""A model of SDXL's layout that was never trained: all that the renderer's tests need, and drawn in no time."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from function.render.sdxl import SdxlRenderer

if TYPE_CHECKING:
    from diffusers import StableDiffusionXLPipeline

MODELS = Path(__file__).parents[2] / "models"


@pytest.fixture(scope="session")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model with the parts of models/shapes and random weights, the same in every run."""
    import torch

    folder = tmp_path_factory.mktemp("untrained")
    with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng():
        patch.syspath_prepend(MODELS / "training")
        architecture = import_module("architecture")
        torch.manual_seed(0)
        parts = architecture.new_vae(), architecture.new_unet(), *architecture.new_text_encoders()
        architecture.assemble(*parts).save_pretrained(folder)
        for name in ("tokenizer", "tokenizer_2"):
            architecture.save_tokenizer(folder / name)
        for module in ("architecture", "drawing"):
            sys.modules.pop(module)
    return folder


@pytest.fixture(scope="session")
def renderer(untrained: Path) -> SdxlRenderer:
    """A renderer that has loaded the untrained model."""
    renderer = SdxlRenderer(model=str(untrained), device="cpu")
    renderer.load()
    return renderer


@pytest.fixture(scope="session")
def shapes() -> SdxlRenderer:
    """A renderer with the model that obeys its prompt."""
    renderer = SdxlRenderer(model=str(MODELS / "shapes"), device="cpu")
    renderer.load()
    return renderer


@pytest.fixture(scope="session")
def plain(untrained: Path) -> StableDiffusionXLPipeline:
    """The same model in diffusers' hands alone; who changes it changes it back."""
    import torch
    from diffusers import StableDiffusionXLPipeline

    return StableDiffusionXLPipeline.from_pretrained(untrained, dtype=torch.float32)


@pytest.fixture(scope="session")
def installed(untrained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that lists adapters of every kind for the untrained model."""
    from tests.render.adapting import install

    return install(untrained, tmp_path_factory.mktemp("adapters"))


@pytest.fixture(scope="session")
def adapted(untrained: Path, installed: Path) -> SdxlRenderer:
    """A renderer that has loaded the untrained model, and keeps the adapters that it has used."""
    renderer = SdxlRenderer(model=str(untrained), device="cpu", adapters=str(installed), adapters_kept=1 << 30)
    renderer.load()
    return renderer


@pytest.fixture(scope="module")
def offloaded(untrained: Path, installed: Path, request: pytest.FixtureRequest) -> SdxlRenderer:
    """As `adapted`, but offloaded: the hooks of a GPU, though here the device is where all of it lies anyway."""
    renderer = SdxlRenderer(
        model=str(untrained),
        device="cpu",
        adapters=str(installed),
        adapters_kept=1 << 30,
        offload=request.param,
        warm_up_steps=0,
    )
    renderer.load()
    return renderer
