"""A model of SDXL's layout that was never trained: all that the renderer's tests need, and drawn in no time."""

from __future__ import annotations

import sys
import warnings
from importlib import import_module
from pathlib import Path

import pytest

from function.render.sdxl import SdxlRenderer

TRAINING = Path(__file__).parents[2] / "models" / "training"


@pytest.fixture(scope="session")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model with the parts of models/shapes and random weights, the same in every run."""
    import torch

    folder = tmp_path_factory.mktemp("untrained")
    with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng():
        patch.syspath_prepend(TRAINING)
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
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)  # diffusers under NumPy 2.4
        renderer.load()
    return renderer
