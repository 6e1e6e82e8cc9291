"""The real renderer: any SDXL in diffusers' layout, on a GPU or, if it is small, on a CPU."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from events.prompt import Prompt, validate
from function.errors import Failed, GpuLost, Lacking, OutOfMemory
from function.render import NO_SOURCES, Model, Rendering, Sources
from function.render.adapters import Adapters
from function.render.adapters.catalogue import Catalogue
from function.render.attention import Attention, attend, check_attention
from function.render.drawing import draw
from function.render.faults import Fault, fault_of, first_line, losses
from function.render.importing import preload_torch, uncollected
from function.render.ladder import climb
from function.render.memory import Memory, Offload, Tiling
from function.render.weights import (
    Device,
    Dtype,
    ModelUnavailable,
    device_named,
    load_pipeline,
    load_refiner,
    model_named,
    vae_named,
)

if TYPE_CHECKING:
    from diffusers import StableDiffusionXLImg2ImgPipeline, StableDiffusionXLPipeline

_WARM_UP: Final = {"prompt": "a warm-up"}
_REFINED: Final = {"refiner": "ensemble", "high_noise_fraction": 0.5}

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
        refiner: str | None = None,
        adapters: str | None = None,
        adapters_kept: int = 0,
        dtype: Dtype = "auto",
        device: Device = "auto",
        attention: Attention = "sdpa",
        offload: Offload = "none",
        vae_tiling: Tiling = "auto",
        warm_up_steps: int = 2,
    ) -> None:
        self._model = model_named(model, revision)
        self._vae = vae_named(vae) if vae else None
        self._refiner_model = vae_named(refiner) if refiner else None
        self._adapters = Adapters(Catalogue.read(Path(adapters)) if adapters else Catalogue(), adapters_kept)
        self._variant = variant
        self._dtype: Dtype = dtype
        self._device: Device = device
        self._attention: Attention = attention
        self._offload: Offload = offload
        self._tiling: Tiling = vae_tiling
        self._warm_up_steps = warm_up_steps
        self._pipeline: StableDiffusionXLPipeline | None = None
        self._refiner: StableDiffusionXLImg2ImgPipeline | None = None
        self._memory: Memory | None = None
        self._drawing = threading.Lock()

    @property
    def model(self) -> Model:
        return self._model

    def load(self) -> None:
        """Load and warm the model; `ModelUnavailable` where it is missing, broken or unable to draw, or `GpuLost`."""
        began = time.perf_counter()
        try:
            with losses(), uncollected(), self._adapters.checked():
                preload_torch()
                pipeline = self._load()
                loaded = time.perf_counter()
                self._warm_up()
        except (ModelUnavailable, GpuLost):
            raise
        except Exception as error:
            if isinstance(error, OutOfMemory) or fault_of(error) is Fault.OUT_OF_MEMORY:
                raise ModelUnavailable(
                    f"model {self._model.name} does not fit into memory; choose a smaller one or a device with more, "
                    "or let DARKROOM_OFFLOAD keep what is not being used out of it"
                ) from error
            raise ModelUnavailable(f"model {self._model.name} cannot be loaded: {first_line(error)}") from error
        log.info(
            "model.loaded",
            model=self._model.name,
            revision=self._model.revision,
            dtype=str(pipeline.dtype),
            device=str(device_named(self._device)),
            load_seconds=round(loaded - began, 3),
            warm_up_seconds=round(time.perf_counter() - loaded, 3),
        )

    def _load(self) -> StableDiffusionXLPipeline:
        pipeline = self._pipeline = load_pipeline(
            self._model,
            variant=self._variant,
            vae=self._vae,
            dtype=self._dtype,
            device=self._device,
            offload=self._offload != "none",
        )
        device = device_named(self._device)
        check_attention(self._attention, device)
        if self._refiner_model:
            self._refiner = load_refiner(self._refiner_model, pipeline, self._variant)
        pipelines = [pipeline, *filter(None, [self._refiner])]
        for each in pipelines:
            attend(each.unet, self._attention)
        self._memory = Memory(
            pipelines, device, offload=self._offload, tiling=self._tiling, let_go=self._adapters.let_go
        )
        return pipeline

    def _warm_up(self) -> None:
        if self._warm_up_steps:
            # With half of it for the refiner, one step would be none.
            asked = {"num_inference_steps": max(2, self._warm_up_steps), **_REFINED} if self._refiner else {}
            self.render(validate(_WARM_UP | {"num_inference_steps": self._warm_up_steps} | asked), 0, lambda: None)

    def check(self, prompt: Prompt) -> None:
        """Raise `Lacking` where the prompt needs what is not installed."""
        if self._offload == "sequential" and (prompt.loras or prompt.ip_adapters):
            raise Lacking("loras, ip_adapters: this installation offloads by the layer, where these cannot be added")
        if prompt.refiner != "none" and self._refiner_model is None:
            raise Lacking("refiner: this installation has none, which DARKROOM_REFINER would name; leave it out")
        self._adapters.check(prompt)

    def render(
        self, prompt: Prompt, seed: int, between_steps: Callable[[], None], sources: Sources = NO_SOURCES
    ) -> Rendering:
        """Draw as `Renderer` promises; `NoPicture`, `OutOfMemory` or `GpuLost` where it cannot be done."""
        pipeline, memory = self._pipeline, self._memory
        if pipeline is None or memory is None:
            raise RuntimeError("there is no model to draw with yet: load() comes first")
        if not self._drawing.acquire(blocking=False):
            raise RuntimeError("a render is under way: the renderer draws one prompt at a time")
        try:
            with losses():
                rendering, _ = climb(
                    lambda: self._adapters.applied(
                        pipeline,
                        prompt,
                        sources,
                        lambda fitted: draw(
                            pipeline, prompt, seed, between_steps, memory, sources, self._refiner, fitted
                        ),
                    ),
                    memory.early_rungs,
                )
                return rendering
        except Failed as failure:
            # Without the frames, which hold tensors: it is kept until it was told.
            raise failure.with_traceback(None) from None
        finally:
            self._drawing.release()
