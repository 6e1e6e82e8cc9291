"""From a picture or within a mask, on a real SDXL pipeline, measured against diffusers called by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from diffusers import StableDiffusionXLImg2ImgPipeline, StableDiffusionXLInpaintPipeline
from numpy.typing import NDArray
from PIL import Image

from events.prompt import Input, validate
from function.errors import InputUnusable
from function.render import Rendering
from function.render.modes import around
from function.render.sdxl import SdxlRenderer
from tests.judge import judge
from tests.render.by_hand import picture_of
from tests.render.sources import left_half, scene

SEED = 1234
IMAGE, MASK = "s3://inputs/scene.png", "s3://inputs/mask.png"
BEGUN = {"prompt": "a red star", "num_inference_steps": 5, "image": IMAGE, "strength": 0.6}


def nothing() -> None:
    pass


def render(renderer: SdxlRenderer, picture: Image.Image, mask: Image.Image | None = None, **fields: Any) -> Rendering:
    prompt = validate(BEGUN | fields)
    sources = {Input(uri=IMAGE): picture} | ({Input(uri=MASK): mask} if mask else {})
    return renderer.render(prompt, fields.get("seed", SEED), nothing, sources)


def pixels(renderer: SdxlRenderer, picture: Image.Image, mask: Image.Image | None = None, **fields: Any) -> Any:
    return render(renderer, picture, mask, **fields).pictures[0].pixels


def by_hand(kind: Any, folder: Path, seed: int = SEED, **arguments: Any) -> NDArray[np.uint8]:
    # Each pipeline has another default of it.
    asked = {name: value for name, value in BEGUN.items() if name != "image"} | {"guidance_scale": 5.0} | arguments
    return picture_of(kind.from_pretrained(folder, dtype=torch.float32), seed, **asked)


@pytest.mark.parametrize(
    ("strength", "scheduler"), [(0.3, None), (1.0, None), (0.6, "EulerAncestralDiscreteScheduler")]
)
def test_a_picture_to_begin_with_gives_the_pixels_of_plain_diffusers(
    renderer: SdxlRenderer, untrained: Path, strength: float, scheduler: str | None, tmp_path: Path
) -> None:
    if scheduler:
        pipeline = diffusers.StableDiffusionXLPipeline.from_pretrained(untrained, dtype=torch.float32)
        pipeline.scheduler = getattr(diffusers, scheduler).from_config(pipeline.scheduler.config)
        pipeline.save_pretrained(tmp_path)
        untrained = tmp_path
    expected = by_hand(StableDiffusionXLImg2ImgPipeline, untrained, image=scene(), strength=strength)
    assert np.array_equal(pixels(renderer, scene(), strength=strength, scheduler=scheduler), expected)


@pytest.mark.parametrize("strength", [0.6, 1.0])
def test_a_mask_gives_the_pixels_of_plain_diffusers(renderer: SdxlRenderer, untrained: Path, strength: float) -> None:
    arguments: dict[str, Any] = {
        "image": scene(),
        "mask_image": left_half(),
        "width": 64,
        "height": 64,
        "strength": strength,
    }
    expected = by_hand(StableDiffusionXLInpaintPipeline, untrained, **arguments)
    assert np.array_equal(pixels(renderer, scene(), left_half(), mask_image=MASK, strength=strength), expected)


def test_a_size_that_is_asked_for_is_what_the_picture_is_resized_to(renderer: SdxlRenderer, untrained: Path) -> None:
    size: dict[str, Any] = {"width": 72, "height": 104}
    resized = scene().resize((72, 104), Image.Resampling.LANCZOS)
    expected = by_hand(StableDiffusionXLImg2ImgPipeline, untrained, image=resized)
    assert np.array_equal(pixels(renderer, scene(), **size), expected)

    mask = left_half(32, 32)
    expected = by_hand(StableDiffusionXLInpaintPipeline, untrained, image=scene(), mask_image=mask, **size)
    assert np.array_equal(pixels(renderer, scene(), mask, mask_image=MASK, **size), expected)


def test_without_a_size_the_picture_keeps_its_own_cut_to_multiples_of_8(renderer: SdxlRenderer) -> None:
    rendering = render(renderer, scene(77, 104))
    assert rendering.pictures[0].pixels.shape == (104, 72, 3)
    assert (rendering.prompt["width"], rendering.prompt["height"]) == (72, 104)
    assert rendering.prompt["image"] == {"uri": IMAGE, "sha256": None}


@pytest.mark.parametrize("side", [40, 2056])
def test_a_picture_of_a_size_that_cannot_be_asked_for_needs_one_that_can(renderer: SdxlRenderer, side: int) -> None:
    with pytest.raises(InputUnusable, match=f"^image: .*{side}x64 pixels; say which width and height") as unusable:
        render(renderer, scene(side, 64))
    assert [fault.where for fault in unusable.value.faults] == ["image"]
    assert pixels(renderer, scene(side, 64), width=64, height=64).shape == (64, 64, 3)


@pytest.mark.parametrize("mask", [None, MASK])
def test_a_picture_of_many_is_the_picture_drawn_alone(renderer: SdxlRenderer, mask: str | None) -> None:
    how: dict[str, Any] = {"mask_image": mask, "scheduler": "EulerAncestralDiscreteScheduler"}
    masked = left_half() if mask else None
    many = render(renderer, scene(), masked, num_images=4, **how).pictures
    for k, picture in enumerate(many):
        assert np.array_equal(picture.pixels, pixels(renderer, scene(), masked, seed=SEED + k, **how))
    assert len({picture.pixels.tobytes() for picture in many}) == 4


def test_what_is_left_out_is_filled_in(renderer: SdxlRenderer) -> None:
    assert render(renderer, scene(), strength=None).prompt["strength"] == 0.8


def test_all_pipelines_share_one_copy_of_the_weights(renderer: SdxlRenderer) -> None:
    base = renderer._pipeline  # noqa: SLF001  # whose weights they are is seen nowhere else
    assert base is not None
    parts = {name for name, part in base.components.items() if isinstance(part, torch.nn.Module)}
    assert parts == {"unet", "vae", "text_encoder", "text_encoder_2"}
    for kind in (StableDiffusionXLImg2ImgPipeline, StableDiffusionXLInpaintPipeline):
        other = around(base, kind)
        for part in parts:
            ours, theirs = getattr(other, part).parameters(), getattr(base, part).parameters()
            assert all(one is two for one, two in zip(ours, theirs, strict=True))


def test_a_picture_to_begin_with_leaves_no_trace(renderer: SdxlRenderer) -> None:
    plain = {"prompt": "a red star", "num_inference_steps": 2, "width": 64, "height": 64}
    before = renderer.render(validate(plain), SEED, nothing).pictures[0].pixels
    render(renderer, scene(), left_half(), mask_image=MASK)
    render(renderer, scene())
    assert np.array_equal(renderer.render(validate(plain), SEED, nothing).pictures[0].pixels, before)


def test_where_encoding_fails_the_vae_keeps_its_precision(untrained: Path) -> None:
    # A renderer of its own: what half precision takes from weights does not come back.
    renderer = SdxlRenderer(model=str(untrained), device="cpu", warm_up_steps=0)
    renderer.load()
    base: Any = renderer._pipeline  # noqa: SLF001  # the seam through which faults come in
    base.vae.register_to_config(force_upcast=True)
    base.vae.to(torch.bfloat16)

    def fail(_module: object, _arguments: object) -> None:
        raise ZeroDivisionError("a bug")

    base.vae.encoder.register_forward_pre_hook(fail)
    with pytest.raises(ZeroDivisionError):
        render(renderer, scene())
    assert base.vae.dtype == torch.bfloat16


def test_it_asks_between_steps_of_the_part_that_is_taken(renderer: SdxlRenderer) -> None:
    asked: list[None] = []
    prompt = validate(BEGUN | {"num_inference_steps": 10, "strength": 0.4})
    renderer.render(prompt, SEED, lambda: asked.append(None), {Input(uri=IMAGE): scene()})
    assert len(asked) == 4


@pytest.fixture(scope="module")
def star(shapes: SdxlRenderer) -> Image.Image:
    """A red star on white, as the model draws it."""
    prompt = validate({"prompt": "a red star on a white background", "num_inference_steps": 20})
    return Image.fromarray(shapes.render(prompt, SEED, nothing).pictures[0].pixels)


OTHER: dict[str, Any] = {"prompt": "a blue circle on a black background", "num_inference_steps": 20}


def test_a_mask_keeps_what_is_black_and_draws_what_is_white(shapes: SdxlRenderer, star: Image.Image) -> None:
    drawn = pixels(shapes, star, left_half(128, 128), **OTHER, strength=1.0, mask_image=MASK)
    far = np.abs(drawn.astype(int) - np.asarray(star, int)).mean(axis=(0, 2))
    # Latents are 8 pixels wide, and what is decoded of one is seen by its neighbours.
    assert far[80:].mean() < 25
    assert far[:48].mean() > 100


def test_strength_is_how_much_is_drawn_anew(shapes: SdxlRenderer, star: Image.Image) -> None:
    little, wholly = (pixels(shapes, star, **OTHER, strength=strength) for strength in (0.1, 1.0))
    assert judge(Image.fromarray(little)).shape == "star"
    assert judge(Image.fromarray(wholly)).colour == "blue"
    assert judge(Image.fromarray(wholly)).shape == "circle"
