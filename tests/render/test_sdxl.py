"""The renderer on a real SDXL pipeline, measured against diffusers called by hand."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from events.prompt import Prompt, validate
from function.render import Renderer
from function.render.sdxl import SdxlRenderer
from function.render.weights import Dtype
from tests.render.by_hand import picture_of

SEED = 1234
SMALL = {"prompt": "a red star on a blue background", "num_inference_steps": 2, "width": 64, "height": 64}


def asking(**fields: object) -> Prompt:
    return validate(SMALL | fields)


def nothing() -> None:
    pass


def bodies(renderer: Renderer, seed: int = SEED, **fields: object) -> list[bytes]:
    return [picture.pixels.tobytes() for picture in renderer.render(asking(**fields), seed, nothing).pictures]


def by_hand(pipeline: Any, seed: int = SEED, **arguments: object) -> NDArray[np.uint8]:
    return picture_of(pipeline, seed, **(SMALL | arguments))


def small(model: Path, folder: Path, vae: dict[str, Any]) -> Path:
    """A copy of the model whose own size is 64x64, since a CPU is slow at half precision; its VAE altered."""
    shutil.copytree(model, folder)
    for part, fields in (("unet", {"sample_size": 8}), ("vae", vae)):
        config = folder / part / "config.json"
        config.write_text(json.dumps(json.loads(config.read_text()) | fields))
    return folder


def test_the_same_seed_draws_the_same_file_and_another_seed_another(renderer: SdxlRenderer) -> None:
    first = bodies(renderer)
    assert bodies(renderer) == first
    assert bodies(renderer, SEED + 1) != first


def test_a_picture_of_many_is_the_picture_drawn_alone(renderer: SdxlRenderer) -> None:
    # A scheduler that draws noise of its own in each step would tell.
    many = renderer.render(asking(num_images=3, scheduler="EulerAncestralDiscreteScheduler"), SEED, nothing).pictures
    alone = [bodies(renderer, SEED + k, scheduler="EulerAncestralDiscreteScheduler")[0] for k in range(3)]
    assert [picture.pixels.tobytes() for picture in many] == alone
    assert [picture.seed for picture in many] == [SEED, SEED + 1, SEED + 2]
    assert len(set(alone)) == 3


def test_after_the_last_seed_of_64_bits_comes_0(renderer: SdxlRenderer) -> None:
    last = renderer.render(asking(num_images=2), 2**64 - 1, nothing).pictures
    assert [picture.seed for picture in last] == [2**64 - 1, 0]
    assert [picture.pixels.tobytes() for picture in last] == bodies(renderer, 2**64 - 1) + bodies(renderer, 0)
    assert not np.array_equal(last[0].pixels, last[1].pixels)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"negative_prompt": "a green circle"},
        {"negative_prompt": ""},
        {"guidance_scale": 1.0},
        {"guidance_scale": 0.0, "num_inference_steps": 1},
        {"width": 72, "height": 104},
    ],
    ids=str,
)
def test_the_pixels_are_those_of_plain_diffusers(
    renderer: SdxlRenderer, untrained: Path, fields: dict[str, Any]
) -> None:
    pipeline = diffusers.StableDiffusionXLPipeline.from_pretrained(untrained, dtype=torch.float32)
    (picture,) = renderer.render(asking(**fields), SEED, nothing).pictures
    assert np.array_equal(picture.pixels, by_hand(pipeline, **fields))


@pytest.mark.filterwarnings("ignore:`upcast_vae` is deprecated:FutureWarning")  # the pipeline's own call of it
@pytest.mark.parametrize(
    ("vae", "dtype"),
    [
        ({"force_upcast": True}, "float16"),
        ({"latents_mean": [0.5, -0.5, 1.0, 0.0], "latents_std": [0.5, 1.0, 2.0, 0.1]}, "float32"),
    ],
    ids=["upcast", "normalised latents"],
)
def test_a_vae_with_wishes_decodes_as_in_plain_diffusers(
    untrained: Path, tmp_path: Path, vae: dict[str, Any], dtype: Dtype
) -> None:
    folder = small(untrained, tmp_path / "model", vae)
    renderer = SdxlRenderer(model=str(folder), device="cpu", dtype=dtype)
    renderer.load()
    pipeline = diffusers.StableDiffusionXLPipeline.from_pretrained(folder, dtype=getattr(torch, dtype))
    (picture,) = renderer.render(asking(), SEED, nothing).pictures
    assert np.array_equal(picture.pixels, by_hand(pipeline))


def test_what_is_left_out_is_the_models_own(renderer: SdxlRenderer) -> None:
    rendering = renderer.render(validate({"prompt": "a star", "num_inference_steps": 1}), SEED, nothing)
    assert {name: value for name, value in rendering.prompt.items() if value} == {
        "prompt": "a star",
        "width": 128,
        "height": 128,
        "num_images": 1,
        "original_size": [128, 128],
        "target_size": [128, 128],
        "crops_coords_top_left": [0, 0],
        "scheduler": "EulerDiscreteScheduler",
        "num_inference_steps": 1,
        "guidance_scale": 5.0,
        "seed": SEED,
        "refiner": "none",
        "outputs": [{"format": "png", "quality": None, "max_side": None}],
    }
    assert json.loads(json.dumps(rendering.prompt)) == rendering.prompt
    (picture,) = rendering.pictures
    assert picture.pixels.shape == (128, 128, 3)


@pytest.mark.parametrize(("width", "height"), [(64, 128), (72, 64), (136, 88)])
def test_the_picture_has_the_size_that_was_asked_for(renderer: SdxlRenderer, width: int, height: int) -> None:
    (picture,) = renderer.render(asking(width=width, height=height, num_inference_steps=1), SEED, nothing).pictures
    assert picture.pixels.shape == (height, width, 3)


def test_timings_are_seconds_of_each_part(renderer: SdxlRenderer) -> None:
    one = renderer.render(asking(), SEED, nothing).timings
    assert set(one) == {"denoise", "decode"}
    assert all(0 < seconds < 60 for seconds in one.values())


def test_it_asks_between_steps_and_once_a_step(renderer: SdxlRenderer) -> None:
    asked: list[None] = []
    renderer.render(asking(num_inference_steps=3, num_images=2), SEED, lambda: asked.append(None))
    assert len(asked) == 6


class Stop(Exception):
    pass


@pytest.mark.parametrize("scheduler", [None, "UniPCMultistepScheduler"])
def test_a_render_that_is_stopped_leaves_no_trace(renderer: SdxlRenderer, scheduler: str | None) -> None:
    before = bodies(renderer)

    def stop() -> None:
        raise Stop

    with pytest.raises(Stop):
        renderer.render(asking(scheduler=scheduler), SEED + 1, stop)
    assert bodies(renderer) == before


def test_it_draws_one_prompt_at_a_time(renderer: SdxlRenderer) -> None:
    def draw_another() -> None:
        renderer.render(asking(), SEED, nothing)

    with pytest.raises(RuntimeError, match="one prompt at a time"):
        renderer.render(asking(), SEED, draw_another)
    assert bodies(renderer)


def test_it_draws_nothing_before_it_has_loaded(untrained: Path) -> None:
    with pytest.raises(RuntimeError, match=r"load\(\) comes first"):
        SdxlRenderer(model=str(untrained)).render(asking(), SEED, nothing)


def test_another_vae_takes_the_place_of_the_models_own(renderer: SdxlRenderer, untrained: Path, tmp_path: Path) -> None:
    pipeline = diffusers.StableDiffusionXLPipeline.from_pretrained(untrained, dtype=torch.float32)
    with torch.no_grad():
        pipeline.vae.decoder.conv_out.bias.add_(0.5)
    pipeline.vae.save_pretrained(tmp_path / "vae")
    other = SdxlRenderer(model=str(untrained), device="cpu", vae=str(tmp_path / "vae"))
    other.load()
    (picture,) = other.render(asking(), SEED, nothing).pictures
    assert np.array_equal(picture.pixels, by_hand(pipeline))
    assert picture.pixels.tobytes() not in bodies(renderer)
