"""Memory runs out in a real SDXL pipeline: once more with less, then a failure, and nothing of either is left."""

from __future__ import annotations

import gc
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from statistics import median
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import ControlNetModel

from events.prompt import Input, validate
from function.errors import Failed, GpuLost, NoPicture, OutOfMemory, RenderLimitExceeded
from function.render import Rendering
from function.render.sdxl import SdxlRenderer
from tests.render import recorded
from tests.render.sources import scene
from tests.render.test_adapters import ALL, IMAGE, LINES, render
from tests.render.watching import before_each
from tests.sizing import sized

SEED = 7
STEPS = 2
# Larger than the VAE's tile, so that tiles can be told by their number.
PROMPT = validate({"prompt": "a red star", "num_inference_steps": STEPS, "width": 136, "height": 136})
CLASSIC = recorded.OUT_OF_MEMORY[4]
LOOKALIKES = recorded.OUT_OF_MEMORY[:2]
IN_A_ROW = sized(12, 100)

SMALL = PROMPT.model_copy(update={"width": 64, "height": 64})


@pytest.fixture(scope="module")
def pipeline(renderer: SdxlRenderer) -> Any:
    return renderer._pipeline  # noqa: SLF001  # the module hooks of torch are the seam through which faults come in


def nothing() -> None:
    pass


def draw(renderer: SdxlRenderer) -> list[bytes]:
    return [picture.pixels.tobytes() for picture in renderer.render(PROMPT, SEED, nothing).pictures]


@contextmanager
def failing(module: torch.nn.Module, error: Callable[[], Exception], *calls: int) -> Iterator[list[weakref.ref[Any]]]:
    """Make these calls of `module` fail, counted from 1, none given: all; yields what the failed calls were given."""
    given: list[weakref.ref[Any]] = []
    number = count(1)

    def before(_module: object, arguments: tuple[Any, ...]) -> None:
        if not calls or next(number) in calls:
            # Of its own, so that nothing but the frames of the failed call can keep it alive.
            held = arguments[0] + 0
            given.append(weakref.ref(held))
            raise error()

    hook = module.register_forward_pre_hook(before)
    try:
        yield given
    finally:
        hook.remove()


def out_of_memory() -> Exception:
    return torch.OutOfMemoryError(CLASSIC.text)


def tensors() -> int:
    """How many there are, but for those that loading has frozen."""
    return sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())


@contextmanager
def tiles(vae: Any) -> Iterator[list[int]]:
    """How many tiles each decoding took."""
    widths: list[int] = []
    hook = vae.decoder.register_forward_pre_hook(lambda _module, arguments: widths.append(arguments[0].shape[-1]))
    try:
        yield widths
    finally:
        hook.remove()


def remarks(rendering: Rendering) -> list[str]:
    return [remark.what for remark in rendering.remarks]


@pytest.mark.parametrize("sample", [CLASSIC, *LOOKALIKES], ids=str)
def test_what_the_unet_has_no_memory_for_is_drawn_again_and_is_the_same(
    renderer: SdxlRenderer, pipeline: Any, sample: recorded.Recorded
) -> None:
    before = draw(renderer)
    with failing(pipeline.unet, lambda: RuntimeError(sample.text), STEPS) as given:
        rendering = renderer.render(PROMPT, SEED, nothing)
    assert len(given) == 1
    assert [picture.pixels.tobytes() for picture in rendering.pictures] == before
    assert remarks(rendering) == []
    assert draw(renderer) == before


def test_the_third_try_is_in_tiles_and_the_next_render_as_ever(renderer: SdxlRenderer, pipeline: Any) -> None:
    before = draw(renderer)
    steps: list[None] = []
    with failing(pipeline.vae.decoder, out_of_memory, 1, 2) as given, tiles(pipeline.vae) as widths:
        rendering = renderer.render(PROMPT, SEED, lambda: steps.append(None))
    assert len(given) == 2
    assert len(steps) == STEPS
    assert len(widths) > 1, "the third try decoded in one piece"
    assert max(widths) <= pipeline.vae.tile_latent_min_size
    assert remarks(rendering) == ["in_tiles"]
    assert draw(renderer) == before


def test_the_second_try_is_as_the_first_and_nothing_to_remark_on(renderer: SdxlRenderer, pipeline: Any) -> None:
    before = draw(renderer)
    with failing(pipeline.vae.decoder, out_of_memory, 1), tiles(pipeline.vae) as widths:
        rendering = renderer.render(PROMPT, SEED, nothing)
    assert [picture.pixels.tobytes() for picture in rendering.pictures] == before
    assert len(widths) == 1
    assert remarks(rendering) == []


def test_the_third_try_draws_the_same_where_one_tile_is_enough(renderer: SdxlRenderer, pipeline: Any) -> None:
    before = renderer.render(SMALL, SEED, nothing).pictures[0]
    with failing(pipeline.vae.decoder, out_of_memory, 1, 2):
        assert np.array_equal(renderer.render(SMALL, SEED, nothing).pictures[0].pixels, before.pixels)


def test_what_the_vae_has_no_memory_to_encode_is_encoded_in_tiles(renderer: SdxlRenderer, pipeline: Any) -> None:
    prompt = validate(PROMPT.model_dump(exclude_none=True) | {"image": IMAGE, "strength": 0.9})
    with failing(pipeline.vae.encoder, out_of_memory, 1, 2) as given:
        rendering = renderer.render(prompt, SEED, nothing, {Input(uri=IMAGE): scene(136, 136)})
    assert len(given) == 2
    assert remarks(rendering) == ["in_tiles"]


# What earlier prompts have left beside the model.


@contextmanager
def nets() -> Iterator[weakref.WeakSet[torch.nn.Module]]:
    """The ControlNets that are used, for as long as there are any."""
    used: weakref.WeakSet[torch.nn.Module] = weakref.WeakSet()
    with before_each(ControlNetModel, used.add):
        yield used


@contextmanager
def no_room_beside(module: torch.nn.Module, beside: weakref.WeakSet[torch.nn.Module]) -> Iterator[None]:
    """A device that has none for what `module` computes while one of these is there."""

    def before(*_: object) -> None:
        if beside:
            raise out_of_memory()

    hook = module.register_forward_pre_hook(before)
    try:
        yield
    finally:
        hook.remove()


@pytest.mark.parametrize(
    ("offloaded", "part"),
    [("none", "text_encoder"), ("none", "unet"), ("none", "vae"), ("model", "unet"), ("sequential", "unet")],
    indirect=["offloaded"],
)
def test_what_earlier_prompts_left_loaded_makes_room(offloaded: SdxlRenderer, part: str) -> None:
    before = render(offloaded).pictures[0].pixels
    with nets() as used:
        render(offloaded, controlnets=[{"name": "edges", "image": LINES}])
    assert len(used) == 1, "it was not kept, and the test would show nothing"
    module = getattr(offloaded._pipeline, part)  # noqa: SLF001  # torch's hooks are the seam
    with no_room_beside(module.decoder if part == "vae" else module, used):
        rendering = render(offloaded)
    assert np.array_equal(rendering.pictures[0].pixels, before)
    assert remarks(rendering) == []
    assert not used


@pytest.mark.parametrize("offloaded", ["none"], indirect=True)
def test_what_the_prompt_itself_uses_stays_loaded(offloaded: SdxlRenderer) -> None:
    base: Any = offloaded._pipeline  # noqa: SLF001  # torch's hooks are the seam
    before, expected = (render(offloaded, **asked).pictures[0].pixels for asked in ({}, ALL))
    with nets() as others:
        render(offloaded, controlnets=[{"name": "depth", "image": LINES}], loras=[{"name": "oil.v1"}])
    assert list(map(len, base.get_list_adapters().values())) == [2, 1, 1]
    with nets() as own, no_room_beside(base.vae.decoder, others):
        assert np.array_equal(render(offloaded, **ALL).pictures[0].pixels, expected)
        assert not others
        (first,) = own
        render(offloaded, **ALL)
        assert list(own) == [first]
    assert list(map(len, base.get_list_adapters().values())) == [1, 1, 1]
    assert np.array_equal(render(offloaded).pictures[0].pixels, before)


@pytest.fixture
def offloading(renderer: SdxlRenderer) -> Iterator[None]:
    """The last rung that a GPU has, its hooks around parts that stay where they are."""
    memory: Any = renderer._memory  # noqa: SLF001  # a CPU has nowhere to put them, so it has no such rung
    memory.rungs["offloaded"] = memory.apart
    yield
    del memory.rungs["offloaded"]


@pytest.mark.usefixtures("offloading")
@pytest.mark.parametrize(("part", "before_it"), [("unet", 2), ("vae.decoder", 3)])
def test_the_last_try_is_with_one_part_at_a_time(
    renderer: SdxlRenderer, pipeline: Any, part: str, before_it: int
) -> None:
    before = renderer.render(SMALL, SEED, nothing).pictures[0].pixels
    module, kept = pipeline.vae.decoder if part == "vae.decoder" else pipeline.unet, []
    watched = module.register_forward_pre_hook(lambda *_: kept.append(hasattr(pipeline.unet, "_hf_hook")))
    try:
        with failing(module, out_of_memory, *range(1, before_it + 1)):
            rendering = renderer.render(SMALL, SEED, nothing)
    finally:
        watched.remove()
    assert kept[: before_it + 1] == [*([False] * before_it), True]
    assert remarks(rendering) == ["offloaded"]
    assert np.array_equal(rendering.pictures[0].pixels, before)
    assert not hasattr(pipeline.unet, "_hf_hook")


# What is done stays done.


MANY = validate({"prompt": "a red star", "num_inference_steps": STEPS, "width": 64, "height": 64, "num_images": 4})


def test_pictures_that_are_done_stay_done_where_memory_runs_out_for_the_next(
    renderer: SdxlRenderer, pipeline: Any
) -> None:
    before = renderer.render(MANY, SEED, nothing).pictures
    with failing(pipeline.vae.decoder, out_of_memory, 3, 4, 5) as given:
        rendering = renderer.render(MANY, SEED, nothing)
    assert len(given) == 3, "the fourth would meet it, too"
    assert [picture.seed for picture in rendering.pictures] == [SEED, SEED + 1]
    assert all(np.array_equal(one.pixels, other.pixels) for one, other in zip(rendering.pictures, before, strict=False))
    assert [(missing.seed, missing.code) for missing in rendering.missing] == [
        (SEED + 2, "out_of_memory"),
        (SEED + 3, "out_of_memory"),
    ]


def test_pictures_that_are_done_stay_done_where_the_time_is_over(renderer: SdxlRenderer) -> None:
    steps = count(1)

    def limit() -> None:
        if next(steps) > 3 * STEPS:
            raise RenderLimitExceeded("it took too long")

    rendering = renderer.render(MANY, SEED, limit)
    assert len(rendering.pictures) == 3
    assert [(one.seed, one.code, one.message) for one in rendering.missing] == [
        (SEED + 3, "render_limit_exceeded", "it took too long")
    ]


@contextmanager
def spoiling(module: torch.nn.Module, *calls: int) -> Iterator[None]:
    """Make NaN of what these calls of `module` give, counted from 1."""
    number = count(1)

    def after(_module: object, _arguments: object, given: Any) -> Any:
        if next(number) not in calls:
            return None
        return (given[0] * torch.nan,) if isinstance(given, tuple) else given * torch.nan

    hook = module.register_forward_hook(after)
    try:
        yield
    finally:
        hook.remove()


def test_a_picture_that_is_none_keeps_no_other_from_being_drawn(renderer: SdxlRenderer, pipeline: Any) -> None:
    before = renderer.render(MANY, SEED, nothing).pictures
    with spoiling(pipeline.unet, 2 * STEPS):
        rendering = renderer.render(MANY, SEED, nothing)
    assert [picture.seed for picture in rendering.pictures] == [SEED, SEED + 2, SEED + 3]
    assert np.array_equal(rendering.pictures[1].pixels, before[2].pixels)
    assert [(missing.seed, missing.code) for missing in rendering.missing] == [(SEED + 1, "no_picture")]


def test_where_there_is_no_picture_it_is_a_failure(renderer: SdxlRenderer, pipeline: Any) -> None:
    with spoiling(pipeline.unet, *range(1, 100)), pytest.raises(NoPicture, match="UNet gave NaN"):
        renderer.render(MANY, SEED, nothing)


@pytest.mark.usefixtures("offloading")
def test_the_next_twenty_renders_are_unharmed(renderer: SdxlRenderer, pipeline: Any) -> None:
    def timed() -> tuple[bytes, float]:
        began = time.process_time()
        (picture,) = renderer.render(SMALL, SEED, nothing).pictures
        return picture.pixels.tobytes(), time.process_time() - began

    timed()
    before = [timed() for _ in range(10)]
    left = tensors()
    with failing(pipeline.vae.decoder, out_of_memory, 1, 2, 3):
        assert remarks(renderer.render(SMALL, SEED, nothing)) == ["offloaded"]
    with failing(pipeline.unet, out_of_memory), pytest.raises(OutOfMemory):
        renderer.render(SMALL, SEED, nothing)
    with spoiling(pipeline.unet, STEPS), pytest.raises(NoPicture):
        renderer.render(SMALL, SEED, nothing)
    with spoiling(pipeline.vae.decoder, 1), pytest.raises(NoPicture):
        renderer.render(SMALL, SEED, nothing)
    after = [timed() for _ in range(20)]
    assert {body for body, _ in after} == {body for body, _ in before}
    assert tensors() == left
    was, now = (median(seconds for _, seconds in each) for each in (before, after))
    print(f"\na render takes {was * 1000:.0f} ms of CPU before, {now * 1000:.0f} ms after")
    assert now < 1.5 * was


@pytest.mark.parametrize(("part", "tries"), [("unet", 2), ("vae.decoder", 3), ("text_encoder", 2)])
def test_always_is_a_failure_wherever_it_is(renderer: SdxlRenderer, pipeline: Any, part: str, tries: int) -> None:
    before = draw(renderer)
    module = pipeline.vae.decoder if part == "vae.decoder" else getattr(pipeline, part)
    with failing(module, out_of_memory) as given, pytest.raises(OutOfMemory) as failed:
        renderer.render(SMALL, SEED, nothing)
    assert len(given) == tries
    assert isinstance(failed.value, Failed)
    assert failed.value.code == "out_of_memory"
    assert draw(renderer) == before


def test_the_render_limit_holds_over_both_tries(renderer: SdxlRenderer, pipeline: Any) -> None:
    steps = count(1)

    def limit() -> None:
        if next(steps) > 1:
            raise RenderLimitExceeded

    # All steps of the first try but the last, and then one of the second.
    with failing(pipeline.unet, out_of_memory, STEPS), pytest.raises(RenderLimitExceeded):
        renderer.render(SMALL, SEED, limit)
    assert next(steps) == STEPS + 1


@pytest.mark.parametrize("sample", recorded.FATAL, ids=str)
def test_a_lost_gpu_is_not_tried_again(renderer: SdxlRenderer, pipeline: Any, sample: recorded.Recorded) -> None:
    with failing(pipeline.unet, lambda: RuntimeError(sample.text)) as given, pytest.raises(GpuLost):
        draw(renderer)
    assert len(given) == 1


def test_a_gpu_may_be_lost_on_the_second_try(renderer: SdxlRenderer, pipeline: Any) -> None:
    errors = iter([out_of_memory(), RuntimeError(recorded.FATAL[0].text)])
    before = draw(renderer)
    with failing(pipeline.unet, lambda: next(errors)), pytest.raises(GpuLost):
        draw(renderer)
    assert draw(renderer) == before


def test_a_bug_stays_one(renderer: SdxlRenderer, pipeline: Any) -> None:
    with failing(pipeline.unet, lambda: ZeroDivisionError("a bug")), pytest.raises(ZeroDivisionError, match="a bug"):
        draw(renderer)


@pytest.mark.chaos
def test_no_tensor_is_left_of_many_in_a_row(renderer: SdxlRenderer, pipeline: Any) -> None:
    renderer.render(SMALL, SEED, nothing)
    counts = [tensors()]
    held: list[Exception] = []
    # Each first try fails at its last step, and the second draws all of them.
    first = failing(pipeline.unet, out_of_memory, *range(STEPS, IN_A_ROW * 2 * STEPS, 2 * STEPS))
    with first as given, failing(pipeline.vae.decoder, lambda: RuntimeError(LOOKALIKES[len(held) % 2].text)):
        for _ in range(IN_A_ROW):
            with pytest.raises(OutOfMemory) as failed:
                renderer.render(SMALL, SEED, nothing)
            # As whoever handles it does; what it holds in turn would be seen.
            held.append(failed.value)
            counts.append(tensors())
    print(f"\n{IN_A_ROW} renders out of memory: {counts[0]} tensors besides the model's before, {max(counts)} after")
    assert len(given) == IN_A_ROW
    assert not any(tensor() is not None for tensor in given)
    assert max(counts) == counts[0]
