"""What a prompt's adapters do to a real pipeline, measured against diffusers called by hand."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import diffusers
import numpy as np
import pytest
import torch
from diffusers import ControlNetModel, StableDiffusionXLPipeline
from numpy.typing import NDArray
from transformers import CLIPVisionModelWithProjection

from events.prompt import Input, validate
from function.errors import Lacking
from function.render import Rendering
from function.render.sdxl import SdxlRenderer
from tests.render.adapting import install_misfits
from tests.render.by_hand import picture_of
from tests.render.sources import left_half, save_refiner, scene

pytestmark = [
    pytest.mark.filterwarnings("ignore:Already found a `peft_config`:UserWarning"),  # a second LoRA, put on by hand
]

SEED: Final = 1234
SMALL: Final = {"prompt": "a red star", "num_inference_steps": 3, "width": 64, "height": 64}
IMAGE, MASK, LINES, LOOK = (f"s3://inputs/{name}.png" for name in ("image", "mask", "lines", "look"))
PICTURES: Final = {IMAGE: scene(), MASK: left_half(), LINES: scene(96, 48).rotate(90), LOOK: scene(50, 40).rotate(180)}
SOURCES: Final = {Input(uri=uri): picture for uri, picture in PICTURES.items()}
LORA_FILES: Final = {"ink": "ink", "oil.v1": "oil", "a": "words", "kohya": "kohya"}

# How a picture begins: what is asked for, diffusers' pipeline for it, and what that is called with.
BEGINNINGS: Final[dict[str, tuple[dict[str, Any], str, dict[str, Any]]]] = {
    "noise": ({}, "StableDiffusionXL{}Pipeline", {"width": 64, "height": 64}),
    "image": (
        {"image": IMAGE, "strength": 0.7},
        "StableDiffusionXL{}Img2ImgPipeline",
        {"image": PICTURES[IMAGE], "strength": 0.7},
    ),
    "mask": (
        {"image": IMAGE, "mask_image": MASK, "strength": 0.7},
        "StableDiffusionXL{}InpaintPipeline",
        {"image": PICTURES[IMAGE], "mask_image": PICTURES[MASK], "strength": 0.7, "width": 64, "height": 64},
    ),
}


def nothing() -> None:
    pass


def render(renderer: SdxlRenderer, seed: int = SEED, **fields: Any) -> Rendering:
    prompt = validate(SMALL | fields)
    renderer.check(prompt)
    return renderer.render(prompt, seed, nothing, SOURCES)


def pixels(renderer: SdxlRenderer, seed: int = SEED, **fields: Any) -> NDArray[np.uint8]:
    return render(renderer, seed, **fields).pictures[0].pixels


def by_hand(pipeline: Any, **arguments: Any) -> NDArray[np.uint8]:
    # Within a mask, diffusers would take another guidance_scale by itself.
    words = {"prompt": SMALL["prompt"], "num_inference_steps": SMALL["num_inference_steps"], "guidance_scale": 5.0}
    return picture_of(pipeline, SEED, **(words | arguments))


def fresh(model: Path, kind: str = "StableDiffusionXLPipeline", **parts: Any) -> Any:
    return getattr(diffusers, kind).from_pretrained(model, dtype=torch.float32, **parts)


def wear(pipeline: Any, folder: Path, loras: list[dict[str, Any]]) -> None:
    names = [f"n{index}" for index in range(len(loras))]
    for name, lora in zip(names, loras, strict=True):
        pipeline.load_lora_weights(folder, weight_name=f"{LORA_FILES[lora['name']]}.safetensors", adapter_name=name)
    pipeline.set_adapters(names, [lora.get("by_part", lora.get("scale", 1.0)) for lora in loras])


def look(pipeline: Any, folder: Path, *names: str, scales: list[float]) -> None:
    files = [f"{name}.safetensors" for name in names]
    pipeline.load_ip_adapter(str(folder), subfolder="", weight_name=files, image_encoder_folder=None)
    pipeline.set_ip_adapter_scale(scales)


def encoder(folder: Path) -> CLIPVisionModelWithProjection:
    return CLIPVisionModelWithProjection.from_pretrained(folder / "image_encoder", dtype=torch.float32)


@pytest.mark.parametrize(
    "loras",
    [
        [{"name": "ink"}],
        [{"name": "kohya", "scale": 0.5}],
        [{"name": "a", "scale": -1.5}],
        [{"name": "oil.v1", "scale": 0.7}, {"name": "ink", "scale": -0.3}, {"name": "a"}],
    ],
    ids=str,
)
def test_loras_give_the_pixels_of_plain_diffusers(
    adapted: SdxlRenderer, untrained: Path, installed: Path, loras: list[dict[str, Any]]
) -> None:
    pipeline = fresh(untrained)
    wear(pipeline, installed.parent, loras)
    assert np.array_equal(pixels(adapted, loras=loras), by_hand(pipeline, width=64, height=64))


def test_a_lora_has_a_scale_of_its_own_in_the_text_encoders(
    adapted: SdxlRenderer, untrained: Path, installed: Path
) -> None:
    pipeline = fresh(untrained)
    by_part = {"unet": 0.5, "text_encoder": 2.0, "text_encoder_2": 2.0}
    wear(pipeline, installed.parent, [{"name": "ink", "by_part": by_part}])
    drawn = pixels(adapted, loras=[{"name": "ink", "scale": 0.5, "text_encoder_scale": 2.0}])
    assert np.array_equal(drawn, by_hand(pipeline, width=64, height=64))
    assert not np.array_equal(drawn, pixels(adapted, loras=[{"name": "ink", "scale": 0.5}]))


@pytest.mark.parametrize("beginning", BEGINNINGS)
@pytest.mark.parametrize("many", [False, True], ids=["one", "two"])
def test_controlnets_give_the_pixels_of_plain_diffusers(
    adapted: SdxlRenderer, untrained: Path, installed: Path, beginning: str, *, many: bool
) -> None:
    asked, kind, arguments = BEGINNINGS[beginning]
    names = ["edges", "depth"] if many else ["edges"]
    nets = [ControlNetModel.from_pretrained(installed.parent / name, dtype=torch.float32) for name in names]
    pipeline = fresh(untrained, kind.format("ControlNet"), controlnet=nets if many else nets[0])
    images = [PICTURES[LINES], PICTURES[LOOK]][: len(nets)]
    followed: dict[str, Any] = {"image" if beginning == "noise" else "control_image": images}
    how: dict[str, Any] = {
        "controlnet_conditioning_scale": [0.8, 0.4],
        "control_guidance_start": [0.0, 0.3],
        "control_guidance_end": [0.5, 1.0],
    }
    if not many:
        followed = {name: images[0] for name, images in followed.items()}
        how = {name: values[0] for name, values in how.items()}
    fields = [
        {"name": "edges", "image": LINES, "scale": 0.8, "end": 0.5},
        {"name": "depth", "image": LOOK, "scale": 0.4, "start": 0.3},
    ]
    drawn = pixels(adapted, controlnets=fields[: len(nets)], **asked)
    assert np.array_equal(drawn, by_hand(pipeline, **(arguments | {"width": 64, "height": 64} | followed | how)))


@pytest.mark.parametrize("beginning", BEGINNINGS)
@pytest.mark.parametrize("names", [["style"], ["parts"], ["style", "parts"]], ids=" and ".join)
def test_ip_adapters_give_the_pixels_of_plain_diffusers(
    adapted: SdxlRenderer, untrained: Path, installed: Path, beginning: str, names: list[str]
) -> None:
    asked, kind, arguments = BEGINNINGS[beginning]
    pipeline = fresh(untrained, kind.format(""), image_encoder=encoder(installed.parent))
    scales, uris = [0.6, 1.3][: len(names)], [LOOK, LINES][: len(names)]
    look(pipeline, installed.parent, *names, scales=scales)
    fields = [
        {"name": name, "image": uri, "scale": scale} for name, uri, scale in zip(names, uris, scales, strict=True)
    ]
    expected = by_hand(pipeline, ip_adapter_image=[PICTURES[uri] for uri in uris], **arguments)
    assert np.array_equal(pixels(adapted, ip_adapters=fields, **asked), expected)


ALL: Final[dict[str, Any]] = {
    "loras": [{"name": "ink", "scale": 0.4}],
    "controlnets": [{"name": "edges", "image": LINES, "scale": 0.5}],
    "ip_adapters": [{"name": "style", "image": LOOK, "scale": 0.7}],
}


def test_all_kinds_at_once_within_a_mask_give_the_pixels_of_plain_diffusers(
    adapted: SdxlRenderer, untrained: Path, installed: Path
) -> None:
    asked, kind, arguments = BEGINNINGS["mask"]
    net = ControlNetModel.from_pretrained(installed.parent / "edges", dtype=torch.float32)
    pipeline = fresh(untrained, kind.format("ControlNet"), controlnet=net, image_encoder=encoder(installed.parent))
    look(pipeline, installed.parent, "style", scales=[0.7])
    wear(pipeline, installed.parent, ALL["loras"])
    arguments |= {"control_image": PICTURES[LINES], "controlnet_conditioning_scale": 0.5}
    expected = by_hand(pipeline, ip_adapter_image=[PICTURES[LOOK]], **arguments)
    assert np.array_equal(pixels(adapted, **ALL, **asked), expected)


@pytest.mark.parametrize("field", ["loras", "controlnets", "ip_adapters"])
def test_each_adapter_changes_the_picture_and_leaves_no_trace(
    adapted: SdxlRenderer, renderer: SdxlRenderer, field: str
) -> None:
    before = pixels(renderer)
    first = pixels(adapted, **{field: ALL[field]})
    assert not np.array_equal(first, before)
    assert np.array_equal(pixels(adapted), before)
    assert np.array_equal(pixels(adapted, **{field: ALL[field]}), first)


@pytest.mark.parametrize(
    ("offloaded", "field"),
    [("model", "loras"), ("model", "controlnets"), ("model", "ip_adapters"), ("sequential", "controlnets")],
    indirect=["offloaded"],
)
def test_adapters_of_a_model_that_is_offloaded_draw_the_same(
    adapted: SdxlRenderer, offloaded: SdxlRenderer, field: str
) -> None:
    asked = {field: ALL[field]}
    base: Any = offloaded._pipeline  # noqa: SLF001  # whether there are hooks is seen in no other way
    assert all(hasattr(part, "_hf_hook") for part in (base.unet, base.vae, base.text_encoder, base.text_encoder_2))
    assert np.array_equal(pixels(offloaded, **asked), pixels(adapted, **asked))
    assert np.array_equal(pixels(offloaded), pixels(adapted))


def test_after_a_lora_the_weights_can_learn_as_before(adapted: SdxlRenderer) -> None:
    # With weights that cannot, a CPU computes otherwise in the last digit, by the number of its threads.
    pixels(adapted, loras=ALL["loras"])
    base: Any = adapted._pipeline  # noqa: SLF001  # the pixels tell on some machines only
    for part in ("unet", "text_encoder", "text_encoder_2"):
        weights = [weight for name, weight in getattr(base, part).named_parameters() if "lora_" not in name]
        assert all(weight.requires_grad for weight in weights)


class Stop(Exception):
    pass


def test_a_render_that_is_stopped_leaves_no_adapter_on(adapted: SdxlRenderer, renderer: SdxlRenderer) -> None:
    def stop() -> None:
        raise Stop

    with pytest.raises(Stop):
        adapted.render(validate(SMALL | ALL), SEED, stop, SOURCES)
    assert np.array_equal(pixels(adapted), pixels(renderer))


def test_a_picture_of_many_is_the_picture_drawn_alone(adapted: SdxlRenderer) -> None:
    many = render(adapted, num_images=3, **ALL).pictures
    for k, picture in enumerate(many):
        assert np.array_equal(picture.pixels, pixels(adapted, SEED + k, **ALL))


def test_the_rendering_names_each_adapter_with_its_sum(adapted: SdxlRenderer, installed: Path) -> None:
    rendering = render(adapted, **ALL)
    files = {
        ("ink", "lora"): "ink.safetensors",
        ("edges", "controlnet"): "edges/diffusion_pytorch_model.safetensors",
        ("style", "ip_adapter"): "style.safetensors",
        ("style", "image_encoder"): "image_encoder/model.safetensors",
    }
    assert {(one.name, one.kind): one.sha256 for one in rendering.adapters} == {
        which: hashlib.sha256((installed.parent / file).read_bytes()).hexdigest() for which, file in files.items()
    }
    assert rendering.timings["adapt"] > 0
    assert rendering.prompt["loras"] == [{"name": "ink", "scale": 0.4, "text_encoder_scale": None}]
    plain = render(adapted)
    assert plain.adapters == ()
    assert "adapt" not in plain.timings


@pytest.mark.parametrize("of_base", [True, False], ids=["shared text encoder", "its own"])
def test_a_refiner_has_no_lora(untrained: Path, installed: Path, tmp_path: Path, *, of_base: bool) -> None:
    folder = save_refiner(tmp_path / "refiner", of_base=of_base)
    refining = SdxlRenderer(
        model=str(untrained), device="cpu", adapters=str(installed), refiner=str(folder), warm_up_steps=0
    )
    refining.load()
    steps: dict[str, Any] = {"num_inference_steps": 5}
    base, refiner = fresh(untrained), fresh(folder, "StableDiffusionXLImg2ImgPipeline", vae=None)
    wear(base, installed.parent, [{"name": "ink"}])
    refiner.vae = StableDiffusionXLPipeline.from_pretrained(untrained, dtype=torch.float32).vae
    base.set_progress_bar_config(disable=True)
    random = torch.Generator().manual_seed(SEED)
    words = {"prompt": SMALL["prompt"], "generator": random} | steps
    latents = base(**words, width=64, height=64, denoising_end=0.6, output_type="latent").images
    refiner.set_progress_bar_config(disable=True)
    expected = np.asarray(refiner(**words, image=latents, denoising_start=0.6).images[0])
    asked: dict[str, Any] = {"refiner": "ensemble", "high_noise_fraction": 0.6, "loras": [{"name": "ink"}]}
    assert np.array_equal(pixels(refining, **steps, **asked), expected)
    assert np.array_equal(pixels(refining, **steps, **asked), expected)


# Adapters for another model.


@pytest.fixture(scope="module")
def misfitting(untrained: Path, installed: Path) -> SdxlRenderer:
    """As `adapted`, with adapters that are for other models as well."""
    adapters = install_misfits(untrained, installed)
    renderer = SdxlRenderer(
        model=str(untrained), device="cpu", adapters=str(adapters), adapters_kept=1 << 30, warm_up_steps=0
    )
    renderer.load()
    return renderer


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """What the libraries log, which they keep from the root's logger."""
    libraries = [logging.getLogger(name) for name in ("diffusers", "transformers", "peft")]
    for library in libraries:
        library.addHandler(caplog.handler)
    yield caplog
    for library in libraries:
        library.removeHandler(caplog.handler)


NOT_ITS = "its tensors are not named and sized as this model's"


@pytest.mark.parametrize(
    ("field", "name", "why"),
    [
        ("loras", "wide", NOT_ITS),
        ("loras", "wide-words", NOT_ITS),
        ("loras", "foreign", NOT_ITS),
        ("loras", "part", "the model takes 88 of its 144 tensors"),
        ("controlnets", "deep", "its layers_per_block is not this model's"),
        ("ip_adapters", "wide-look", NOT_ITS),
        ("ip_adapters", "part-look", NOT_ITS),
        ("ip_adapters", "other-look", "it wants an image encoder that gives 40 numbers, and has one of 24"),
    ],
)
def test_an_adapter_for_another_model_is_lacking_and_leaves_no_trace(
    misfitting: SdxlRenderer, adapted: SdxlRenderer, logged: pytest.LogCaptureFixture, field: str, name: str, why: str
) -> None:
    misfit = {field: [ALL[field][0] | {"name": name}]}
    for asked in (misfit, ALL | misfit):
        with pytest.raises(Lacking, match="does not fit this model") as failure:
            pixels(misfitting, **asked)
        assert str(failure.value) == f"{field.removesuffix('s')} {name} does not fit this model: {why}"
    assert not logged.messages, "the libraries have said it, too, in a hundred lines"
    for asked in ({}, ALL):
        assert np.array_equal(pixels(misfitting, **asked), pixels(adapted, **asked))
