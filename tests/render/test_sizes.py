"""A picture has the size that was asked for, in whichever words, and the model takes it for one of the size told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from diffusers import StableDiffusionXLPipeline

from events.prompt import validate
from function.render.sdxl import SdxlRenderer
from tests.render.test_sdxl import SEED, asking, by_hand, nothing

OWN = (64, 64)
CROPPED = {"crops_coords_top_left": (16, 24)}
NEGATIVE = {"negative_original_size": (32, 48), "negative_target_size": (40, 56)}


@pytest.mark.parametrize(
    ("fields", "to_diffusers"),
    [
        ({"original_size": (32, 48)}, {}),
        ({"target_size": (32, 48)}, {}),
        (CROPPED, {}),
        (NEGATIVE | {"negative_crops_coords_top_left": (8, 0)}, {}),
        (NEGATIVE | CROPPED | {"negative_crops_coords_top_left": (0, 0)}, {}),
        # Alone diffusers would read none of these three.
        ({"negative_original_size": (32, 48)}, {"negative_target_size": OWN}),
        ({"negative_target_size": (32, 48)}, {"negative_original_size": OWN}),
        (
            {"negative_crops_coords_top_left": (8, 0)},
            {"negative_original_size": OWN, "negative_target_size": OWN},
        ),
        (NEGATIVE | CROPPED, {"negative_crops_coords_top_left": CROPPED["crops_coords_top_left"]}),
    ],
    ids=str,
)
def test_the_pixels_are_those_of_plain_diffusers(
    renderer: SdxlRenderer,
    plain: StableDiffusionXLPipeline,
    fields: dict[str, Any],
    to_diffusers: dict[str, Any],
) -> None:
    asked = asking(**{name: list(pair) for name, pair in fields.items()})
    (picture,) = renderer.render(asked, SEED, nothing).pictures
    assert np.array_equal(picture.pixels, by_hand(plain, **fields, **to_diffusers))


@pytest.mark.parametrize(
    ("fields", "width", "height"),
    [
        ({}, 128, 128),
        ({"size": "72x104"}, 72, 104),
        # The model's own size is an eighth of SDXL's.
        ({"aspect_ratio": "16:9"}, 168, 96),
        ({"aspect_ratio": "1:4"}, 64, 256),
        ({"width": 72}, 72, 128),
    ],
    ids=str,
)
def test_a_size_in_each_of_its_words(renderer: SdxlRenderer, fields: dict[str, Any], width: int, height: int) -> None:
    asked = validate({"prompt": "a star", "num_inference_steps": 1} | fields)
    rendering = renderer.render(asked, SEED, nothing)
    assert rendering.pictures[0].pixels.shape == (height, width, 3)
    said = {name: rendering.prompt[name] for name in ("width", "height", "size", "aspect_ratio", "original_size")}
    assert said == {
        "width": width,
        "height": height,
        "size": None,
        "aspect_ratio": None,
        "original_size": [height, width],
    }


def test_what_was_rendered_draws_the_same_again(renderer: SdxlRenderer) -> None:
    asked = {
        "prompt": "star " * 40,
        "negative_prompt_2": "a ring",
        "clip_skip": 1,
        "aspect_ratio": "2:3",
        "crops_coords_top_left": [0, 64],
        "scheduler": "DPM++ 2M SDE Karras",
        "num_inference_steps": 3,
        "guidance_rescale": 0.5,
    }
    rendering = renderer.render(validate(asked), SEED, nothing)
    again = validate(dict(rendering.prompt))
    assert again.seed == SEED
    assert dict(renderer.render(again, again.seed, nothing).prompt) == rendering.prompt
    drawn = renderer.render(again, again.seed, nothing).pictures[0].pixels
    assert np.array_equal(drawn, rendering.pictures[0].pixels)
