"""How a picture is drawn: from noise, from a picture or within a mask; and with or without a refiner after it.

All of that is done by diffusers' own pipelines around the same weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from events.prompt import Fault, Prompt
from events.prompt.refining import AESTHETIC_SCORE, HIGH_NOISE_FRACTION, NEGATIVE_AESTHETIC_SCORE, REFINER_STRENGTH
from events.prompt.sampling import whole_way
from events.prompt.sources import STRENGTH
from function.errors import InputUnusable
from function.render import Sources
from function.render.adapters import NOTHING, Fitted
from function.render.sizes import sides as asked_sides

if TYPE_CHECKING:
    import torch

# What the pipelines do not take under their own names, or not all of them, or as something else.
OURS: Final = frozenset(
    {"width", "height", "image", "mask_image", "strength"}
    | {"refiner", "high_noise_fraction", "refiner_strength", "refiner_steps"}
    | {"aesthetic_score", "negative_aesthetic_score"}
    | {"loras", "controlnets", "ip_adapters"}
)
_SIDES: Final = range(64, 2049)


@dataclass(frozen=True, slots=True)
class Stage:
    """A pipeline and what it is called with; `scheduler` makes one that has drawn nothing yet."""

    pipeline: Any
    scheduler: Callable[[], Any]
    arguments: Mapping[str, Any]

    def __call__(self, generator: torch.Generator, before: torch.Tensor | None) -> torch.Tensor:
        """The latents that it draws, from those of the stage before, if there is one; it stays as it was."""
        from torch.nn import Module

        pipeline, image = self.pipeline, {} if before is None else {"image": before}
        own, vae, dtype = pipeline.scheduler, pipeline.vae, pipeline.vae.dtype
        try:
            pipeline.scheduler = self.scheduler()
            latents: torch.Tensor = pipeline(
                **self.arguments, **image, generator=generator, output_type="latent"
            ).images
        finally:
            pipeline.scheduler = own
            if vae.dtype != dtype:
                # Where encoding failed, the pipeline has left it as it needed it.
                Module.to(vae, dtype)
        return latents


def sides(prompt: Prompt, sources: Sources, native: int, factor: int) -> tuple[int, int]:
    """Width and height: as the prompt wants them, else the image's, cut to multiples of `factor`, else the model's."""
    if prompt.image is None:
        return asked_sides(prompt, native)
    width, height = (side - side % factor for side in sources[prompt.image].size)
    width, height = asked_sides(prompt, native, (width, height))
    if width not in _SIDES or height not in _SIDES:
        fault = Fault("image", f"would make a picture of {width}x{height} pixels; say which width and height it is")
        raise InputUnusable(str(fault), [fault])
    return width, height


def filled(prompt: Prompt) -> dict[str, Any]:
    """What the prompt leaves out of how the picture begins and how it is refined, and what is taken then."""
    usual: dict[str, Any] = {}
    if prompt.image is not None:
        usual["strength"] = STRENGTH
    if prompt.refiner != "none":
        usual |= {"aesthetic_score": AESTHETIC_SCORE, "negative_aesthetic_score": NEGATIVE_AESTHETIC_SCORE}
        usual["refiner_steps"] = whole_way(dict(prompt))
    if prompt.refiner == "ensemble":
        usual["high_noise_fraction"] = HIGH_NOISE_FRACTION
    if prompt.refiner == "image":
        usual["refiner_strength"] = REFINER_STRENGTH
    return {name: value for name, value in usual.items() if getattr(prompt, name) is None}


def beginning(
    base: Any, rendered: Mapping[str, Any], prompt: Prompt, sources: Sources, fitted: Fitted = NOTHING
) -> tuple[Any, dict[str, Any]]:
    """The pipeline that draws from noise, from a picture or within a mask, and what it takes beside the rest."""
    import diffusers

    from function.render.schedulers import check_division

    if prompt.refiner == "ensemble":
        check_division(base.scheduler, rendered, "base")
    size = {"width": rendered["width"], "height": rendered["height"]}
    until = {"denoising_end": rendered["high_noise_fraction"]} if prompt.refiner == "ensemble" else {}
    followed = {"image" if prompt.image is None else "control_image": fitted.control_images}
    own = size | fitted.arguments | (followed if fitted.control_images else {})
    if prompt.image is None:
        kind = "StableDiffusionXL{}Pipeline"
        own |= until
    elif prompt.mask_image is None:
        kind = "StableDiffusionXL{}Img2ImgPipeline"
        # Without a ControlNet it takes its size from the image.
        image = base.image_processor.resize(sources[prompt.image], **size)
        own |= {"image": image, "strength": rendered["strength"]} | until
    else:
        kind = "StableDiffusionXL{}InpaintPipeline"
        own |= {"image": sources[prompt.image], "strength": rendered["strength"]}
        own["mask_image"] = sources[prompt.mask_image]
    if prompt.image is None and not fitted.parts:
        return base, own
    wanted = getattr(diffusers, kind.format("ControlNet" if fitted.control_images else ""))
    return around(base, wanted, **fitted.parts), own


def refining(refiner: Any, rendered: Mapping[str, Any], prompt: Prompt, sources: Sources) -> tuple[Any, dict[str, Any]]:
    """The pipeline that goes on with the latents of the one before, and what it takes beside the rest."""
    from diffusers import StableDiffusionXLInpaintPipeline

    from function.render.schedulers import check_division

    asked = {name: rendered[name] for name in ("aesthetic_score", "negative_aesthetic_score")}
    asked |= {"num_inference_steps": rendered["refiner_steps"], "timesteps": None, "sigmas": None}
    if prompt.refiner == "ensemble":
        check_division(refiner.scheduler, rendered, "refiner")
        return refiner, asked | {"denoising_start": rendered["high_noise_fraction"]}
    asked["strength"] = rendered["refiner_strength"]
    if prompt.mask_image is None:
        return refiner, asked
    size = {"width": rendered["width"], "height": rendered["height"]}
    inpaint = around(refiner, StableDiffusionXLInpaintPipeline, requires_aesthetics_score=True)
    return inpaint, asked | size | {"mask_image": sources[prompt.mask_image]}


def around(pipeline: Any, kind: Any, **options: Any) -> Any:
    """A pipeline of another kind around the same parts: what `from_pipe` does, but that warns, converting them."""
    kept = {"force_zeros_for_empty_prompt": pipeline.config.force_zeros_for_empty_prompt}
    other = kind(**(pipeline.components | kept | options), add_watermarker=False)
    other.set_progress_bar_config(disable=True)
    return other
