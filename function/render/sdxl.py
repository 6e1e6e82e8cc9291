"""The real renderer: any SDXL in diffusers' layout, on a GPU or, if it is small, on a CPU."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import structlog

from events.prompt import Prompt, validate
from function.errors import GpuLost, OutOfMemory
from function.render import Model, Picture, Rendering
from function.render.faults import Fault, fault_of, first_line, losses
from function.render.guard import check, decode
from function.render.importing import preload_torch, uncollected
from function.render.ladder import climb
from function.render.weights import Device, Dtype, ModelUnavailable, load_pipeline, model_named, vae_named

if TYPE_CHECKING:
    from diffusers import StableDiffusionXLPipeline

SEEDS: Final = 2**64

# The pipeline takes every other field under its own name.
_OURS: Final = {"seed", "num_images", "scheduler"}

log = structlog.get_logger()


class SdxlRenderer:
    """Draws with one `StableDiffusionXLPipeline`, loaded once; `ModelUnavailable` where the name alone is wrong."""

    def __init__(
        self,
        *,
        model: str,
        revision: str | None = None,
        variant: str | None = None,
        vae: str | None = None,
        dtype: Dtype = "auto",
        device: Device = "auto",
    ) -> None:
        self._model = model_named(model, revision)
        self._vae = vae_named(vae) if vae else None
        self._variant = variant
        self._dtype: Dtype = dtype
        self._device: Device = device
        self._pipeline: StableDiffusionXLPipeline | None = None
        self._drawing = threading.Lock()

    @property
    def model(self) -> Model:
        return self._model

    def load(self) -> None:
        """Load and warm the model; `ModelUnavailable` where it is missing, broken or unable to draw, or `GpuLost`."""
        began = time.perf_counter()
        try:
            with losses(), uncollected():
                preload_torch()
                self._pipeline = load_pipeline(
                    self._model, variant=self._variant, vae=self._vae, dtype=self._dtype, device=self._device
                )
                loaded = time.perf_counter()
                self.render(validate({"prompt": "a warm-up", "num_inference_steps": 2}), 0, lambda: None)
        except (ModelUnavailable, GpuLost):
            raise
        except Exception as error:
            if isinstance(error, OutOfMemory) or fault_of(error) is Fault.OUT_OF_MEMORY:
                raise ModelUnavailable(
                    f"model {self._model.name} does not fit into memory; choose a smaller one or a device with more"
                ) from error
            raise ModelUnavailable(f"model {self._model.name} cannot be loaded: {first_line(error)}") from error
        log.info(
            "model.loaded",
            model=self._model.name,
            revision=self._model.revision,
            dtype=str(self._pipeline.dtype),
            device=str(self._pipeline.device),
            load_seconds=round(loaded - began, 3),
            warm_up_seconds=round(time.perf_counter() - loaded, 3),
        )

    def render(self, prompt: Prompt, seed: int, between_steps: Callable[[], None]) -> Rendering:
        """Draw as `Renderer` promises; `NoPicture`, `OutOfMemory` or `GpuLost` where it cannot be done."""
        pipeline = self._pipeline
        if pipeline is None:
            raise RuntimeError("there is no model to draw with yet: load() comes first")
        if not self._drawing.acquire(blocking=False):
            raise RuntimeError("a render is under way: the renderer draws one prompt at a time")
        try:
            with losses():
                return climb(lambda: _render(pipeline, prompt, seed, between_steps), pipeline.vae)
        finally:
            self._drawing.release()


def _render(
    pipeline: StableDiffusionXLPipeline, prompt: Prompt, seed: int, between_steps: Callable[[], None]
) -> Rendering:
    import torch

    from function.render.schedulers import scheduler_like

    own = pipeline.scheduler
    native = pipeline.default_sample_size * pipeline.vae_scale_factor
    rendered = prompt.model_dump() | {
        "width": prompt.width or native,
        "height": prompt.height or native,
        "seed": seed,
        "scheduler": prompt.scheduler or type(own).__name__,
    }

    def on_step_end(_pipeline: object, _step: int, _timestep: object, tensors: dict[str, Any]) -> dict[str, Any]:
        between_steps()
        return tensors

    arguments = {name: value for name, value in rendered.items() if name not in _OURS}
    arguments["callback_on_step_end"] = on_step_end
    timings = dict.fromkeys(("denoise", "decode", "encode"), 0.0)
    pictures = []
    try:
        with torch.inference_mode():
            for k in range(prompt.num_images):
                # Schedulers remember what they drew.
                pipeline.scheduler = scheduler_like(own, prompt.scheduler)
                pictures.append(_picture(pipeline, arguments, (seed + k) % SEEDS, timings))
    finally:
        pipeline.scheduler = own
    return Rendering(tuple(pictures), rendered, timings)


def _picture(
    pipeline: StableDiffusionXLPipeline, arguments: dict[str, Any], seed: int, timings: dict[str, float]
) -> Picture:
    import torch

    from function.render.encode import pixels_of, png

    began = time.perf_counter()
    # A GPU's own noise would differ from a CPU's for the same seed.
    generator = torch.Generator("cpu").manual_seed(seed)
    latents = pipeline(**arguments, generator=generator, output_type="latent").images
    check(latents)
    drawn = time.perf_counter()
    pixels = pixels_of(decode(pipeline.vae, latents))[0]
    decoded = time.perf_counter()
    body = png(pixels, {})
    encoded = time.perf_counter()

    timings["denoise"] += drawn - began
    timings["decode"] += decoded - drawn
    timings["encode"] += encoded - decoded
    height, width, _ = pixels.shape
    return Picture(body, width, height, seed)
