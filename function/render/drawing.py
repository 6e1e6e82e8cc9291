"""From a prompt to its pictures, one by one, with a pipeline that is loaded."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from events.prompt import Prompt
from events.prompt.wording import Wording
from function.errors import Failed, NoPicture
from function.render import NO_SOURCES, Missing, Picture, Remark, Rendering, Sources
from function.render.adapters import NOTHING, Fitted
from function.render.environment import device_name, software
from function.render.guard import check, decode
from function.render.ladder import climb
from function.render.memory import Memory, Rung, Step
from function.render.modes import OURS, Stage, beginning, filled, refining, sides
from function.render.sizes import as_pairs, said_as

if TYPE_CHECKING:
    import numpy as np
    import torch
    from diffusers import AutoencoderKL, StableDiffusionXLImg2ImgPipeline, StableDiffusionXLPipeline
    from numpy.typing import NDArray

SEEDS: Final = 2**64

# The pipeline takes every other field under its own name, and the texts encoded.
_OURS: Final = (
    {"seed", "num_images", "size", "aspect_ratio", "scheduler", "scheduler_config", "outputs", "destination"}
    | set(Wording.model_fields)
    | OURS
)


def draw(
    base: StableDiffusionXLPipeline,
    prompt: Prompt,
    seed: int,
    between_steps: Callable[[], None],
    memory: Memory,
    sources: Sources = NO_SOURCES,
    refiner: StableDiffusionXLImg2ImgPipeline | None = None,
    fitted: Fitted = NOTHING,
) -> Rendering:
    """Draw as `Renderer` promises, with what the pipelines are as they come, and leave them so."""
    import torch

    from function.render.schedulers import sampling_of
    from function.render.wording import in_vain

    native = base.default_sample_size * base.vae_scale_factor
    width, height = sides(prompt, sources, native, base.vae_scale_factor)
    rendered = prompt.model_dump() | sampling_of(base.scheduler, prompt) | said_as(prompt, width, height)
    rendered |= {"seed": seed} | filled(prompt)

    with torch.inference_mode(), memory.usual(width, height):
        began = time.perf_counter()
        first = beginning(base, rendered, prompt, sources, fitted)
        stages = {"denoise": _stage(prompt, rendered, between_steps, first)}
        if prompt.refiner != "none":
            # It may have a text encoder in common with the base, and has no LoRA.
            with fitted.without_loras():
                stages["refine"] = _stage(prompt, rendered, between_steps, refining(refiner, rendered, prompt, sources))
        remarks: list[Remark] = []
        timings = dict.fromkeys((*stages, "decode"), 0.0)
        # The texts are encoded once for all pictures, and that is part of drawing them.
        timings["denoise"] = time.perf_counter() - began
        # Of words alone there is nothing for the VAE to encode.
        drawing = {name: rung for name, rung in memory.rungs.items() if prompt.image or name != "in_tiles"}
        draw_one = partial(_picture, base.vae, stages, (drawing, memory.rungs), timings, remarks)
        pictures, missing = _pictures(draw_one, [(seed + k) % SEEDS for k in range(prompt.num_images)])
    if in_vain(prompt, [stage.pipeline for stage in stages.values()]):
        remarks += [Remark(picture.seed, "unguided") for picture in pictures]
    device = device_name(base._execution_device, base.dtype)  # noqa: SLF001  # elsewhere it may lie on another
    return Rendering(
        tuple(pictures),
        rendered,
        timings,
        software(),
        device,
        missing=tuple(missing),
        remarks=tuple(remarks),
    )


def _stage(
    prompt: Prompt,
    rendered: Mapping[str, Any],
    between_steps: Callable[[], None],
    special: tuple[Any, dict[str, Any]],
) -> Stage:
    """A pipeline that takes what all of them do, beside what this one does."""
    from function.render.schedulers import scheduler_like
    from function.render.wording import encoded, is_guided

    def on_step_end(_pipeline: object, _step: int, _timestep: object, tensors: dict[str, Any]) -> dict[str, Any]:
        between_steps()
        return tensors

    pipeline, own = special
    # What is left out is as the pipelines have it by themselves.
    common = {name: value for name, value in rendered.items() if name not in _OURS and value is not None}
    common |= as_pairs(rendered)
    common |= encoded(pipeline, prompt, guided=is_guided(pipeline, prompt.guidance_scale))
    # An ensemble's second half must see the noise as its first half does, which is a matter of the scheduler's class.
    told = rendered["scheduler_config"] or {}
    scheduler = partial(scheduler_like, pipeline.scheduler, rendered["scheduler"], told)
    return Stage(pipeline, scheduler, common | own | {"callback_on_step_end": on_step_end})


def _pictures(draw_one: Callable[[int], Picture], seeds: Sequence[int]) -> tuple[list[Picture], list[Missing]]:
    """The pictures that can be drawn, and those that cannot; the first failure, if there is none that can."""
    pictures: list[Picture] = []
    missing: list[Missing] = []
    first: Failed | None = None
    for number, seed in enumerate(seeds):
        try:
            pictures.append(draw_one(seed))
        except Failed as failure:
            # That is a matter of the seed; whatever else it is, all that are left would meet it, too.
            met = [seed] if isinstance(failure, NoPicture) else seeds[number:]
            missing += [Missing(one, failure.code, str(failure)) for one in met]
            first = first or failure.with_traceback(None)
            if not isinstance(failure, NoPicture):
                break
    if first and not pictures:
        raise first
    return pictures, missing


def _picture(
    vae: AutoencoderKL,
    stages: Mapping[str, Stage],
    ladders: tuple[Mapping[Step, Rung], Mapping[Step, Rung]],
    timings: dict[str, float],
    remarks: list[Remark],
    seed: int,
) -> Picture:
    """The picture of `seed`; what is drawn stays so where memory runs out while it is decoded."""
    drawing, decoding = ladders
    latents, rung = climb(partial(_latents, stages, seed, timings), drawing)
    drawn = time.perf_counter()
    (pixels, again), other_rung = climb(partial(_pixels, vae, latents), decoding)
    timings["decode"] += time.perf_counter() - drawn
    remarks += [Remark(seed, what) for what in dict.fromkeys((rung, other_rung)) if what != "as_is" if what != "alone"]
    if again:
        remarks.append(Remark(seed, "decoded_again"))
    return Picture(pixels, seed)


def _latents(stages: Mapping[str, Stage], seed: int, timings: dict[str, float]) -> torch.Tensor:
    import torch

    # A GPU's own noise would differ from a CPU's for the same seed.
    generator = torch.Generator("cpu").manual_seed(seed)
    latents: torch.Tensor | None = None
    for name, stage in stages.items():
        began = time.perf_counter()
        latents = stage(generator, latents)
        check(latents)
        timings[name] += time.perf_counter() - began
    return cast("torch.Tensor", latents)


def _pixels(vae: AutoencoderKL, latents: torch.Tensor) -> tuple[NDArray[np.uint8], bool]:
    from function.render.pixels import pixels_of

    decoded, again = decode(vae, latents)
    return pixels_of(decoded)[0], again
