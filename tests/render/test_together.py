"""Fields and settings that meet: each is measured alone elsewhere, and here with another."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import diffusers
import numpy as np
import pytest
import torch
from diffusers import ControlNetModel, StableDiffusionXLImg2ImgPipeline

from function.render.memory import Offload
from function.render.sdxl import SdxlRenderer
from tests.render.by_hand import picture_of
from tests.render.sources import save_refiner
from tests.render.test_adapters import IMAGE, LINES, PICTURES, SEED, SMALL, pixels
from tests.render.test_sdxl import small

pytestmark = [
    # The pipeline's own call of it.
    pytest.mark.filterwarnings("ignore:`upcast_vae` is deprecated:FutureWarning"),
]

STEPS: Final = {"num_inference_steps": 5}
ENSEMBLE: Final[dict[str, Any]] = {"refiner": "ensemble", "high_noise_fraction": 0.6, **STEPS}
# Each pipeline has another default of it.
WORDS: Final = {"prompt": SMALL["prompt"], "guidance_scale": 5.0}
FOLLOWED: Final[dict[str, Any]] = {"controlnets": [{"name": "edges", "image": LINES, "scale": 0.5}]}


@pytest.fixture(scope="module")
def refiner(untrained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    del untrained  # made first, so that both come from the same seed
    return save_refiner(tmp_path_factory.mktemp("refiner"))


def loaded(model: Path, **settings: Any) -> SdxlRenderer:
    renderer = SdxlRenderer(model=str(model), device="cpu", warm_up_steps=0, **settings)
    renderer.load()
    return renderer


@pytest.mark.parametrize("offload", ["none", "model", "sequential"])
def test_a_refiner_goes_on_with_what_a_controlnet_led_and_offloaded_it_draws_the_same(
    untrained: Path, installed: Path, refiner: Path, offload: Offload
) -> None:
    net = ControlNetModel.from_pretrained(installed.parent / "edges", dtype=torch.float32)
    base = diffusers.StableDiffusionXLControlNetPipeline.from_pretrained(untrained, controlnet=net, dtype=torch.float32)
    second = StableDiffusionXLImg2ImgPipeline.from_pretrained(refiner, vae=base.vae, dtype=torch.float32)
    for pipeline in (base, second):
        pipeline.set_progress_bar_config(disable=True)
    both = WORDS | STEPS | {"generator": torch.Generator().manual_seed(SEED)}
    led = {"image": PICTURES[LINES], "controlnet_conditioning_scale": 0.5, "width": 64, "height": 64}
    latents = base(**both, **led, denoising_end=0.6, output_type="latent").images
    expected = np.asarray(second(**both, image=latents, denoising_start=0.6).images[0])
    renderer = loaded(untrained, adapters=str(installed), refiner=str(refiner), offload=offload)
    assert np.array_equal(pixels(renderer, **ENSEMBLE, **FOLLOWED), expected)
    assert not np.array_equal(pixels(renderer, **ENSEMBLE), expected)


@pytest.mark.parametrize("offload", ["none", "model", "sequential"])
def test_a_picture_to_begin_with_where_the_vae_must_not_be_in_float16(
    untrained: Path, tmp_path: Path, offload: Offload
) -> None:
    folder = small(untrained, tmp_path / "model", {"force_upcast": True})
    pipeline = StableDiffusionXLImg2ImgPipeline.from_pretrained(folder, dtype=torch.float16)
    begun: dict[str, Any] = {"strength": 0.7, "num_inference_steps": 3}
    expected = picture_of(pipeline, SEED, **WORDS, **begun, image=PICTURES[IMAGE])
    renderer = loaded(folder, dtype="float16", offload=offload)
    for _ in range(2):
        assert np.array_equal(pixels(renderer, image=IMAGE, **begun), expected)


@pytest.mark.parametrize(
    "steps", [{"timesteps": [950, 700, 450, 200]}, {"sigmas": [14.6, 5.0, 2.0, 0.8, 0.0]}], ids=str
)
def test_steps_one_by_one_from_a_picture_are_those_of_plain_diffusers(
    renderer: SdxlRenderer, untrained: Path, steps: dict[str, Any]
) -> None:
    pipeline = StableDiffusionXLImg2ImgPipeline.from_pretrained(untrained, dtype=torch.float32)
    expected = picture_of(pipeline, SEED, **WORDS, **steps, strength=0.8, image=PICTURES[IMAGE])
    assert np.array_equal(pixels(renderer, image=IMAGE, strength=0.8, **steps, num_inference_steps=4), expected)
