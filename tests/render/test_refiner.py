"""A refiner after the base, on real SDXL pipelines, measured against diffusers called by hand."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLInpaintPipeline,
    StableDiffusionXLPipeline,
)
from numpy.typing import NDArray

from events.prompt import Input, faults_of, validate
from function.errors import InvalidRequest, Lacking
from function.render import NO_SOURCES, Rendering, Sources
from function.render.sdxl import SdxlRenderer
from function.render.weights import ModelUnavailable
from tests.render.sources import left_half, save_refiner, scene

SEED = 1234
SMALL: dict[str, Any] = {"prompt": "a red star", "num_inference_steps": 5, "width": 64, "height": 64}
ENSEMBLE: dict[str, Any] = {"refiner": "ensemble", "high_noise_fraction": 0.6}
AFTER: dict[str, Any] = {"refiner": "image", "refiner_strength": 0.4}
IMAGE, MASK = "s3://inputs/scene.png", "s3://inputs/mask.png"
MASKED: Sources = {Input(uri=IMAGE): scene(), Input(uri=MASK): left_half()}


def nothing() -> None:
    pass


@pytest.fixture(scope="module")
def folder(untrained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    del untrained  # made first, so that both come from the same seed
    return save_refiner(tmp_path_factory.mktemp("refiner"))


@pytest.fixture(scope="module")
def refined(untrained: Path, folder: Path) -> SdxlRenderer:
    """A renderer with a refiner."""
    renderer = SdxlRenderer(model=str(untrained), refiner=str(folder), device="cpu")
    renderer.load()
    return renderer


def render(renderer: SdxlRenderer, seed: int = SEED, sources: Sources = NO_SOURCES, **fields: Any) -> Rendering:
    return renderer.render(validate(SMALL | fields), seed, nothing, sources)


def pixels(renderer: SdxlRenderer, seed: int = SEED, sources: Sources = NO_SOURCES, **fields: Any) -> Any:
    return render(renderer, seed, sources, **fields).pictures[0].pixels


def by_hand(base: Any, refiner: Any, first: dict[str, Any], then: dict[str, Any]) -> NDArray[np.uint8]:
    """One generator for both, as in diffusers' own examples, and latents from the one to the other."""
    generator = torch.Generator().manual_seed(SEED)
    both = {"prompt": SMALL["prompt"], "guidance_scale": 5.0, "generator": generator}
    latents = base(**both, **{"num_inference_steps": 5} | first, output_type="latent").images
    return np.asarray(refiner(**both, **{"num_inference_steps": 5} | then, image=latents).images[0])


def loaded(kind: Any, folder: Path, **parts: Any) -> Any:
    pipeline = kind.from_pretrained(folder, dtype=torch.float32, **parts)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


SCORES: dict[str, Any] = {"aesthetic_score": 8.0, "negative_aesthetic_score": 1.0}


@pytest.mark.parametrize("more", [{}, SCORES, {"negative_prompt": "a circle"}], ids=str)
def test_the_last_steps_of_an_ensemble_are_those_of_plain_diffusers(
    refined: SdxlRenderer, untrained: Path, folder: Path, more: dict[str, Any]
) -> None:
    base = loaded(StableDiffusionXLPipeline, untrained)
    refiner = loaded(StableDiffusionXLImg2ImgPipeline, folder, vae=base.vae)
    said = {name: value for name, value in more.items() if name == "negative_prompt"}
    first = {"width": 64, "height": 64, "denoising_end": 0.6, **said}
    expected = by_hand(base, refiner, first, {"denoising_start": 0.6, **more})
    assert np.array_equal(pixels(refined, **ENSEMBLE, **more), expected)


@pytest.mark.parametrize("more", [{}, {"refiner_steps": 10, **SCORES}], ids=str)
def test_a_finished_picture_is_refined_as_in_plain_diffusers(
    refined: SdxlRenderer, untrained: Path, folder: Path, more: dict[str, Any]
) -> None:
    base = loaded(StableDiffusionXLPipeline, untrained)
    refiner = loaded(StableDiffusionXLImg2ImgPipeline, folder, vae=base.vae)
    then = {"strength": 0.4} | {name.replace("refiner", "num_inference"): value for name, value in more.items()}
    assert np.array_equal(pixels(refined, **AFTER, **more), by_hand(base, refiner, {"width": 64, "height": 64}, then))


def test_a_refiner_keeps_what_the_mask_keeps(refined: SdxlRenderer, untrained: Path, folder: Path) -> None:
    base = loaded(StableDiffusionXLInpaintPipeline, untrained)
    parts = loaded(StableDiffusionXLImg2ImgPipeline, folder, vae=base.vae).components
    refiner = StableDiffusionXLInpaintPipeline(**parts, requires_aesthetics_score=True, add_watermarker=False)
    refiner.set_progress_bar_config(disable=True)
    within = {"mask_image": left_half(), "width": 64, "height": 64}
    first = {"image": scene(), "strength": 0.8, **within}
    expected = by_hand(base, refiner, first, {"strength": 0.4, **within})
    assert np.array_equal(pixels(refined, sources=MASKED, image=IMAGE, mask_image=MASK, **AFTER), expected)


@pytest.mark.parametrize("how", [ENSEMBLE, AFTER], ids=str)
def test_a_picture_of_many_is_the_picture_drawn_alone(refined: SdxlRenderer, how: dict[str, Any]) -> None:
    how = how | {"scheduler": "EulerAncestralDiscreteScheduler"}
    many = render(refined, num_images=3, **how).pictures
    for k, picture in enumerate(many):
        assert np.array_equal(picture.pixels, pixels(refined, SEED + k, **how))
    assert len({picture.pixels.tobytes() for picture in many}) == 3


@pytest.mark.parametrize(
    ("half", "fields"),
    [
        # Its first step is at 853 of 1000 for all of the way, at 711 after a sixth of it; that of LCM's last is at 259.
        ("base", {"num_inference_steps": 7, "high_noise_fraction": 0.145}),
        ("base", {"num_inference_steps": 7, "high_noise_fraction": 0.286, "image": IMAGE, "strength": 0.9}),
        ("refiner", {"num_inference_steps": 4, "high_noise_fraction": 0.75, "scheduler": "LCM"}),
    ],
    ids=str,
)
def test_a_half_whose_steps_are_too_far_from_even_is_refused(
    refined: SdxlRenderer, half: str, fields: dict[str, Any]
) -> None:
    with pytest.raises(InvalidRequest, match=f"leaves the {half} no step of those that ") as refused:
        render(refined, sources=MASKED, refiner="ensemble", **fields)
    assert [fault.where for fault in refused.value.faults] == ["high_noise_fraction"]


def test_a_half_that_has_one_step_is_drawn(refined: SdxlRenderer) -> None:
    asked: list[None] = []
    prompt = validate(SMALL | {"refiner": "ensemble", "num_inference_steps": 7, "high_noise_fraction": 0.15})
    refined.render(prompt, SEED, lambda: asked.append(None))
    assert len(asked) == 7


def test_an_ensemble_goes_on_with_a_picture_to_begin_with(refined: SdxlRenderer) -> None:
    sources = {Input(uri=IMAGE): scene()}
    asked: list[None] = []
    prompt = validate(SMALL | ENSEMBLE | {"image": IMAGE, "strength": 0.8})
    refined.render(prompt, SEED, lambda: asked.append(None), sources)
    # Of five steps it leaves the first out, and divides what is left.
    assert len(asked) == 4


def test_what_is_left_out_is_filled_in_and_timed(refined: SdxlRenderer) -> None:
    rendering = render(refined, refiner="ensemble")
    assert {name: rendering.prompt[name] for name in ("high_noise_fraction", "refiner_strength", "refiner_steps")} == {
        "high_noise_fraction": 0.8,
        "refiner_strength": None,
        "refiner_steps": 5,
    }
    assert (rendering.prompt["aesthetic_score"], rendering.prompt["negative_aesthetic_score"]) == (6.0, 2.5)
    assert set(rendering.timings) == {"denoise", "refine", "decode"}
    assert render(refined, refiner="image").prompt["refiner_strength"] == 0.3


def test_without_a_refiner_all_is_as_ever(refined: SdxlRenderer, renderer: SdxlRenderer) -> None:
    others = [pixels(refined, **how) for how in (ENSEMBLE, AFTER)]
    plain = pixels(refined)
    assert np.array_equal(plain, pixels(renderer))
    assert not any(np.array_equal(plain, other) for other in others)
    assert render(refined).prompt["aesthetic_score"] is None


def test_what_both_have_in_common_is_there_once(refined: SdxlRenderer) -> None:
    base, refiner = refined._pipeline, refined._refiner  # noqa: SLF001  # whose weights they are is seen nowhere else
    assert base is not None
    assert refiner is not None
    assert refiner.vae is base.vae
    assert refiner.text_encoder_2 is base.text_encoder_2
    assert refiner.unet is not base.unet


def test_a_text_encoder_of_its_own_is_kept(untrained: Path, tmp_path: Path, refined: SdxlRenderer) -> None:
    other = SdxlRenderer(model=str(untrained), refiner=str(save_refiner(tmp_path, of_base=False)), device="cpu")
    other.load()
    assert other._refiner.text_encoder_2 is not other._pipeline.text_encoder_2  # type: ignore[union-attr]  # noqa: SLF001
    assert not np.array_equal(pixels(other, **ENSEMBLE), pixels(refined, **ENSEMBLE))


def test_a_refiner_that_is_not_installed_is_lacking(renderer: SdxlRenderer, refined: SdxlRenderer) -> None:
    for how in (ENSEMBLE, AFTER):
        refined.check(validate(SMALL | how))
        with pytest.raises(Lacking, match="refiner: this installation has none"):
            renderer.check(validate(SMALL | how))
    renderer.check(validate(SMALL))


def test_what_is_no_refiner_is_refused(untrained: Path, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="only a StableDiffusionXLImg2ImgPipeline can be used"):
        SdxlRenderer(model=str(untrained), refiner=str(untrained), device="cpu").load()
    copy = shutil.copytree(folder, tmp_path / "refiner")
    (copy / "unet" / "pytorch_model.bin").touch()
    with pytest.raises(ModelUnavailable, match="can run code"):
        SdxlRenderer(model=str(untrained), refiner=str(copy), device="cpu").load()


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"refiner_steps": 5}, "refiner_steps"),
        ({"aesthetic_score": 5.0}, "aesthetic_score"),
        ({"negative_aesthetic_score": 5.0}, "negative_aesthetic_score"),
        ({"high_noise_fraction": 0.8}, "high_noise_fraction"),
        ({"refiner": "image", "high_noise_fraction": 0.8}, "high_noise_fraction"),
        ({"refiner": "ensemble", "refiner_strength": 0.8}, "refiner_strength"),
        ({"refiner": "ensemble", "num_inference_steps": 4}, "high_noise_fraction"),
        ({"refiner": "ensemble", "high_noise_fraction": 0.1}, "high_noise_fraction"),
        ({"refiner": "ensemble", "refiner_steps": 4}, "high_noise_fraction"),
        ({"refiner": "ensemble", "image": IMAGE, "strength": 0.2}, "high_noise_fraction"),
        ({"refiner": "ensemble", "image": IMAGE, "mask_image": MASK}, "refiner"),
        ({"refiner": "ensemble", "timesteps": [900, 600, 300, 100, 10]}, "refiner"),
        ({"refiner": "image", "refiner_steps": 3}, "refiner_strength"),
        ({"image": IMAGE, "strength": 0.1}, "strength"),
        ({"image": IMAGE, "num_inference_steps": 1}, "strength"),
        ({"strength": 0.5}, "strength"),
        ({"mask_image": MASK}, "mask_image"),
    ],
    ids=str,
)
def test_what_would_have_no_effect_or_no_step_is_a_fault(fields: dict[str, Any], where: str) -> None:
    assert [fault.where for fault in faults_of(SMALL | fields)] == [where]
