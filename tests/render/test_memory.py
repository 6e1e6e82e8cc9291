"""What is on the device, and how the VAE works: the settings change that, and no pixel but where tiles meet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch

from events.prompt import validate
from function.bootstrap import renderer_for
from function.config import Settings
from function.errors import Lacking, OutOfMemory
from function.render.ladder import climb
from function.render.memory import Memory, Offload, free_memory
from function.render.sdxl import SdxlRenderer
from function.render.weights import load_pipeline, model_named
from tests.render.test_sdxl import SEED, asking, bodies, by_hand, nothing
from tests.render.watching import before_each

GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")


def with_settings(model: Path, **settings: object) -> Any:
    """A renderer that has loaded as these settings want it."""
    renderer = renderer_for(Settings.model_validate({"model": str(model), "device": "cpu", **settings}))
    renderer.load()
    return renderer


def parts(renderer: Any) -> list[torch.nn.Module]:
    pipeline = renderer._pipeline  # noqa: SLF001  # what is where is seen in no other way
    return [part for part in pipeline.components.values() if isinstance(part, torch.nn.Module)]


@contextmanager
def calls(kind: type[torch.nn.Module]) -> Iterator[list[None]]:
    """One for each call of such a module, whoever makes it."""
    made: list[None] = []
    with before_each(kind, lambda _: made.append(None)):
        yield made


@pytest.fixture(scope="module")
def pipeline(untrained: Path) -> Any:
    """A pipeline of its own, which nobody minds to see taken apart."""
    model = model_named(str(untrained))
    return load_pipeline(model, variant=None, vae=None, dtype="float32", device="cpu")


# The VAE in tiles.


def test_tiles_that_are_switched_on_are_those_of_plain_diffusers(renderer: SdxlRenderer, untrained: Path) -> None:
    large: dict[str, Any] = {"width": 136, "height": 136, "num_inference_steps": 1}
    plain = diffusers.StableDiffusionXLPipeline.from_pretrained(untrained, dtype=torch.float32)
    plain.vae.enable_tiling()
    tiled = with_settings(untrained, vae_tiling="on", warm_up_steps=0)
    assert bodies(tiled, **large) == [by_hand(plain, **large).tobytes()]
    assert bodies(tiled, **large) != bodies(renderer, **large), (
        "a tile is as large as this: the test would show nothing"
    )


@pytest.mark.parametrize(
    ("tiling", "side", "in_tiles"),
    [("auto", 128, False), ("auto", 176, False), ("auto", 184, True), ("off", 184, False), ("on", 64, True)],
)
def test_by_itself_a_picture_of_over_twice_the_models_size_is_in_tiles(
    pipeline: Any, tiling: Any, side: int, *, in_tiles: bool
) -> None:
    memory = Memory([pipeline], torch.device("cpu"), tiling=tiling)
    with memory.usual(side, side):
        assert pipeline.vae.use_tiling == in_tiles
    assert not pipeline.vae.use_tiling


def test_the_pictures_of_a_batch_are_drawn_and_decoded_one_by_one(renderer: SdxlRenderer) -> None:
    # What slicing the VAE would do, and splitting the batch.
    pipeline, given = renderer._pipeline, []  # noqa: SLF001  # torch's hooks are where it is seen
    hooks = [
        part.register_forward_pre_hook(lambda _part, arguments: given.append(len(arguments[0])))
        for part in (pipeline.unet, pipeline.vae.decoder)  # type: ignore[union-attr]
    ]
    try:
        assert len(bodies(renderer, num_images=3, guidance_scale=1.0, num_inference_steps=1)) == 3
    finally:
        for hook in hooks:
            hook.remove()
    assert given == [1] * 6


# Offload.


@pytest.mark.parametrize("offload", ["model", "sequential"])
def test_what_is_offloaded_draws_the_same(renderer: SdxlRenderer, untrained: Path, offload: Offload) -> None:
    # The CPU is where all of it lies and where it is drawn, too: the same hooks as on a GPU, that save nothing here.
    offloaded = with_settings(untrained, offload=offload, warm_up_steps=0)
    asked: dict[str, Any] = {"num_images": 2, "scheduler": "EulerAncestralDiscreteScheduler"}
    assert bodies(offloaded, **asked) == bodies(renderer, **asked)
    apart = {tensor.device.type for part in parts(offloaded) for tensor in part.parameters()}
    assert apart == {"model": {"cpu"}, "sequential": {"meta"}}[offload]
    assert all(hasattr(part, "_hf_hook") for part in parts(offloaded))


def test_at_most_one_part_is_on_the_device(untrained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline: Any = load_pipeline(model_named(str(untrained)), variant=None, vae=None, dtype="float32", device="cpu")
    names = {id(part): name for name, part in pipeline.components.items()}
    there: list[str] = []
    most: list[list[str]] = []
    move = torch.nn.Module.to

    def moved(part: torch.nn.Module, *arguments: Any, **more: Any) -> torch.nn.Module:
        if (name := names.get(id(part))) and arguments and not isinstance(arguments[0], torch.dtype):
            # Told from what it lies on otherwise by its number alone.
            if str(arguments[0]) == "cpu:0":
                there.append(name)
                most.append(list(there))
            elif name in there:
                there.remove(name)
        return move(part, *arguments, **more)

    monkeypatch.setattr(torch.nn.Module, "to", moved)
    Memory([pipeline], torch.device("cpu:0"), offload="model")
    pipeline(prompt="a star", num_inference_steps=2, width=64, height=64)
    assert most == [["text_encoder"], ["text_encoder_2"], ["unet"], ["vae"]]


def test_adapters_that_need_whole_layers_are_refused_where_layers_are_offloaded(untrained: Path) -> None:
    layered = SdxlRenderer(model=str(untrained), offload="sequential")
    layered.check(asking())
    with pytest.raises(Lacking, match="offloads by the layer"):
        layered.check(asking(loras=[{"name": "ink"}]))


def test_all_is_together_again_after_it_was_apart(pipeline: Any) -> None:
    memory = Memory([pipeline], torch.device("cpu"))
    hooked = [part for part in pipeline.components.values() if isinstance(part, torch.nn.Module)]
    forward = [part.forward for part in hooked]
    with memory.apart():
        assert all(hasattr(part, "_hf_hook") for part in hooked)
    assert not any(hasattr(part, "_hf_hook") for part in hooked)
    assert [part.forward for part in hooked] == forward


def test_what_cannot_come_together_stays_apart_until_it_can(pipeline: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = Memory([pipeline], torch.device("cpu:0"))
    move, short = torch.nn.Module.to, [True]

    def moved(part: torch.nn.Module, *arguments: Any, **more: Any) -> torch.nn.Module:
        if short and part is pipeline.unet and str(arguments[0]) == "cpu:0":
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return move(part, *arguments, **more)

    monkeypatch.setattr(torch.nn.Module, "to", moved)
    with memory.apart():
        pass
    assert hasattr(pipeline.unet, "_hf_hook")
    assert climb(lambda: hasattr(pipeline.unet, "_hf_hook"), memory.rungs) == (True, "as_is")
    short.clear()
    assert climb(lambda: hasattr(pipeline.unet, "_hf_hook"), memory.rungs) == (False, "as_is")


def test_what_the_machine_cannot_hold_is_not_moved_into_it(pipeline: Any) -> None:
    memory = Memory([pipeline], torch.device("cpu"))
    memory._parts = [torch.nn.Linear(1 << 20, 1 << 20, device="meta")]  # noqa: SLF001  # terabytes, and not on the CPU
    with pytest.raises(OutOfMemory):
        climb(nothing_to_draw, {"offloaded": memory.apart})


def nothing_to_draw() -> None:
    raise AssertionError("it was moved")


@pytest.mark.parametrize(
    ("files", "left"),
    [
        ({"memory.max": "1000", "memory.current": "700", "memory.stat": "anon 1\ninactive_file 200\n"}, 500),
        ({"memory.max": "max", "memory.current": "700", "memory.stat": "inactive_file 200\n"}, 2048),
        ({"memory.max": "9999", "memory.current": "700", "memory.stat": "inactive_file 200\n"}, 2048),
        ({}, 2048),
    ],
)
def test_what_is_left_is_the_containers_or_the_machines(tmp_path: Path, files: dict[str, str], left: int) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable: 2 kB\nHugePages_Total: 0\n")
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert free_memory(tmp_path, tmp_path / "meminfo") == left


def test_where_nothing_says_what_is_left_there_is_no_end_to_it(tmp_path: Path) -> None:
    assert free_memory(tmp_path, tmp_path / "meminfo") == float("inf")


# The warm-up.


@pytest.mark.parametrize("steps", [0, 3])
def test_the_warm_up_takes_so_many_steps(untrained: Path, steps: int) -> None:
    with calls(diffusers.UNet2DConditionModel) as made:
        renderer = with_settings(untrained, warm_up_steps=steps)
    assert len(made) == steps
    assert bodies(renderer, num_inference_steps=1)


@pytest.mark.gpu
@GPU
def test_what_is_offloaded_takes_less_of_a_gpu(untrained: Path) -> None:
    most: dict[str, int] = {}
    drawn = []
    for offload in ("none", "model", "sequential"):
        renderer = with_settings(untrained, device="cuda", dtype="float32", offload=offload)
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        # So small that the weights are what counts.
        prompt = validate({"prompt": "a star", "num_inference_steps": 2, "width": 64, "height": 64})
        drawn.append(renderer.render(prompt, SEED, nothing).pictures[0].pixels)
        most[offload] = torch.cuda.max_memory_allocated()
        del renderer
    assert most["none"] > most["model"] > most["sequential"]
    assert all(np.abs(pixels.astype(int) - drawn[0]).max() <= 2 for pixels in drawn)


def lies_on(part: torch.nn.Module) -> str:
    return next(part.parameters()).device.type


@pytest.mark.gpu
@GPU
def test_on_a_gpu_one_part_at_a_time_is_there_and_afterwards_all_are(untrained: Path) -> None:
    renderer = with_settings(untrained, device="cuda", dtype="float32")
    drawn = bodies(renderer)
    there: list[list[str]] = []

    def after(module: torch.nn.Module, _arguments: object, _given: object) -> None:
        if module in parts(renderer):
            there.append([type(part).__name__ for part in parts(renderer) if lies_on(part) == "cuda"])

    with renderer._memory.apart():  # noqa: SLF001  # where memory has not run out nothing else leads there
        assert {lies_on(part) for part in parts(renderer)} == {"cpu"}
        hook = torch.nn.modules.module.register_module_forward_hook(after)
        try:
            assert bodies(renderer) == drawn
        finally:
            hook.remove()
    assert {tuple(names) for names in there} >= {("UNet2DConditionModel",)}
    assert all(len(names) == 1 for names in there)
    assert {lies_on(part) for part in parts(renderer)} == {"cuda"}
    assert bodies(renderer) == drawn
