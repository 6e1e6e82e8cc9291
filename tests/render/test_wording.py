"""Texts reach the model as in diffusers where they fit, and wholly where they do not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionXLPipeline
from numpy.typing import NDArray

from function.errors import InvalidRequest
from function.render import Remark
from function.render.sdxl import SdxlRenderer
from function.render.wording import in_vain
from tests.render.test_sdxl import SEED, asking, by_hand, nothing

# One token each, and a window of the model's text encoders takes thirty.
WORD = "star "
WINDOW = 30
OTHER = "a green ring on a yellow background"


def pixels(renderer: SdxlRenderer, **fields: Any) -> NDArray[np.uint8]:
    return renderer.render(asking(**fields), SEED, nothing).pictures[0].pixels


@pytest.mark.parametrize(
    "fields",
    [
        {"prompt_2": OTHER},
        {"prompt_2": ""},
        {"negative_prompt": "a red star", "negative_prompt_2": OTHER},
        {"negative_prompt": "", "negative_prompt_2": OTHER},
        {"negative_prompt": OTHER, "negative_prompt_2": ""},
        {"clip_skip": 1},
        {"clip_skip": 1, "negative_prompt": OTHER, "prompt_2": OTHER},
        {"guidance_scale": 1.0, "negative_prompt": OTHER, "prompt_2": OTHER},
        {"prompt": WORD * WINDOW},
        {"negative_prompt": WORD * WINDOW},
    ],
    ids=str,
)
def test_what_fits_gives_the_pixels_of_plain_diffusers(
    renderer: SdxlRenderer, plain: StableDiffusionXLPipeline, fields: dict[str, Any]
) -> None:
    assert np.array_equal(pixels(renderer, **fields), by_hand(plain, **fields))


@pytest.mark.parametrize(
    ("fields", "remarked"),
    [
        ({"guidance_scale": 1.0, "negative_prompt": OTHER, "num_images": 2}, 2),
        ({"guidance_scale": 0.5, "negative_prompt_2": OTHER}, 1),
        # Programs send it with every prompt, and it asks for nothing.
        ({"guidance_scale": 1.0, "negative_prompt": ""}, 0),
        ({"guidance_scale": 1.0}, 0),
        ({"guidance_scale": 1.1, "negative_prompt": OTHER}, 0),
    ],
    ids=str,
)
def test_a_negative_text_without_effect_is_remarked_on(
    renderer: SdxlRenderer, fields: dict[str, Any], remarked: int
) -> None:
    rendering = renderer.render(asking(num_inference_steps=1, **fields), SEED, nothing)
    assert rendering.remarks == tuple(Remark(SEED + k, "unguided") for k in range(remarked))


@pytest.mark.parametrize(
    "asked", [{"negative_prompt": OTHER}, {"guidance_rescale": 0.5}, {"negative_target_size": [8, 8]}]
)
def test_so_it_is_with_a_model_that_takes_no_guidance(plain: StableDiffusionXLPipeline, asked: dict[str, Any]) -> None:
    assert not in_vain(asking(**asked), [plain])
    distilled = SimpleNamespace(unet=SimpleNamespace(config=SimpleNamespace(time_cond_proj_dim=256)))
    assert in_vain(asking(**asked), [distilled])
    assert not in_vain(asking(), [distilled])
    # A refiner may be guided all the same.
    assert not in_vain(asking(**asked), [distilled, plain])


def test_a_second_negative_text_alone_counts(renderer: SdxlRenderer) -> None:
    # diffusers forgets it unless there is a first.
    alone = pixels(renderer, negative_prompt_2=OTHER)
    assert np.array_equal(alone, pixels(renderer, negative_prompt="", negative_prompt_2=OTHER))


def test_another_sign_for_padding_and_no_zeros_are_as_in_plain_diffusers(untrained: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(untrained, folder)
    # As SDXL itself pads the second encoder's texts.
    alter(folder / "tokenizer_2" / "tokenizer_config.json", {"pad_token": "!"})
    alter(folder / "model_index.json", {"force_zeros_for_empty_prompt": False})
    renderer = SdxlRenderer(model=str(folder), device="cpu")
    renderer.load()
    plain = StableDiffusionXLPipeline.from_pretrained(folder, dtype=torch.float32)
    assert plain.tokenizer.pad_token != plain.tokenizer_2.pad_token
    drawn = pixels(renderer)
    assert np.array_equal(drawn, by_hand(plain))
    plain.register_to_config(force_zeros_for_empty_prompt=True)
    assert not np.array_equal(drawn, by_hand(plain)), "it would show nothing"


def alter(file: Path, changed: dict[str, Any]) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changed))


@pytest.mark.parametrize("field", ["prompt", "prompt_2", "negative_prompt", "negative_prompt_2"])
def test_nothing_of_a_long_text_is_cut(renderer: SdxlRenderer, plain: StableDiffusionXLPipeline, field: str) -> None:
    asked: list[dict[str, Any]] = [
        {"negative_prompt": "ring", field: WORD * (2 * WINDOW) + end} for end in ("circle", "square")
    ]
    one, other = (pixels(renderer, **fields) for fields in asked)
    assert not np.array_equal(one, other)
    one, other = (by_hand(plain, **fields) for fields in asked)
    assert np.array_equal(one, other), "diffusers itself would have cut nothing"


@torch.no_grad()
def test_windows_are_encoded_one_by_one_and_read_in_a_row(
    renderer: SdxlRenderer, plain: StableDiffusionXLPipeline
) -> None:
    first, second, negative = WORD * WINDOW, OTHER, "ring"

    def encoded(text: str) -> Any:
        tokens, _, whole, _ = plain.encode_prompt(text, do_classifier_free_guidance=False)
        return tokens, whole

    (tokens, whole), (more, _), (against, against_whole) = map(encoded, (first, second, negative))
    by_diffusers = {
        "prompt": None,
        "prompt_embeds": torch.cat([tokens, more], dim=1),
        "pooled_prompt_embeds": whole,
        # As long as the prompt, so that both can be read at once.
        "negative_prompt_embeds": torch.cat([against, encoded("")[0]], dim=1),
        "negative_pooled_prompt_embeds": against_whole,
    }
    drawn = pixels(renderer, prompt=first + second, negative_prompt=negative)
    assert np.array_equal(drawn, by_hand(plain, **by_diffusers))


def test_the_texts_are_encoded_once_for_all_pictures(renderer: SdxlRenderer) -> None:
    pipeline: Any = renderer._pipeline  # noqa: SLF001  # only the model itself knows how often it was asked
    asked: list[None] = []
    hook = pipeline.text_encoder.register_forward_hook(lambda *_: asked.append(None))
    try:
        renderer.render(asking(num_images=3), SEED, nothing)
    finally:
        hook.remove()
    assert len(asked) == 1


def test_more_layers_than_there_are_cannot_be_skipped(renderer: SdxlRenderer) -> None:
    with pytest.raises(InvalidRequest, match=r"clip_skip: this model's text encoder has 2 layers") as failure:
        renderer.render(asking(clip_skip=2), SEED, nothing)
    assert [fault.where for fault in failure.value.faults] == ["clip_skip"]
    assert pixels(renderer).any()
