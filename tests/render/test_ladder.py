"""Memory runs out in a real SDXL pipeline: once more with less, then a failure, and nothing of either is left."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any

import diffusers
import pytest
import torch

from events.prompt import validate
from function.errors import Failed, GpuLost, OutOfMemory, RenderLimitExceeded
from function.render import Rendering
from function.render.faults import Fault, fault_of
from function.render.ladder import climb
from function.render.sdxl import SdxlRenderer
from tests.render import recorded
from tests.sizing import sized

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"
)  # diffusers under NumPy 2.4

SEED = 7
STEPS = 2
# Larger than the VAE's tile, so that tiles can be told by their number.
PROMPT = validate({"prompt": "a red star", "num_inference_steps": STEPS, "width": 136, "height": 136})
CLASSIC = recorded.OUT_OF_MEMORY[4]
LOOKALIKES = recorded.OUT_OF_MEMORY[:2]
IN_A_ROW = sized(12, 100)

BLANK = Rendering((), {}, {})

Draw = Callable[[], Rendering]
Climb = Callable[[Draw, Any], Rendering]
Scenario = Callable[[Climb, Any], None]


@pytest.fixture(scope="module")
def pipeline(renderer: SdxlRenderer) -> Any:
    return renderer._pipeline  # noqa: SLF001  # the module hooks of torch are the seam through which faults come in


def nothing() -> None:
    pass


def draw(renderer: SdxlRenderer) -> list[bytes]:
    return [picture.body for picture in renderer.render(PROMPT, SEED, nothing).pictures]


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


@pytest.mark.parametrize("step", range(1, STEPS + 1))
@pytest.mark.parametrize("sample", [CLASSIC, *LOOKALIKES], ids=str)
def test_the_second_try_is_in_tiles_and_the_next_render_as_ever(
    renderer: SdxlRenderer, pipeline: Any, sample: recorded.Recorded, step: int
) -> None:
    before = draw(renderer)
    with failing(pipeline.unet, lambda: RuntimeError(sample.text), step) as given, tiles(pipeline.vae) as widths:
        assert draw(renderer)
    assert len(given) == 1
    assert len(widths) > 1, "the second try decoded in one piece"
    assert max(widths) <= pipeline.vae.tile_latent_min_size
    assert draw(renderer) == before


def test_the_second_try_draws_the_same_where_one_tile_is_enough(renderer: SdxlRenderer, pipeline: Any) -> None:
    small = PROMPT.model_copy(update={"width": 64, "height": 64})
    before = renderer.render(small, SEED, nothing).pictures
    with failing(pipeline.vae.decoder, out_of_memory, 1):
        assert renderer.render(small, SEED, nothing).pictures == before


@pytest.mark.parametrize("part", ["unet", "vae.decoder", "text_encoder"])
def test_twice_is_a_failure_wherever_it_is(renderer: SdxlRenderer, pipeline: Any, part: str) -> None:
    before = draw(renderer)
    module = pipeline.vae.decoder if part == "vae.decoder" else getattr(pipeline, part)
    with failing(module, out_of_memory) as given, pytest.raises(OutOfMemory) as failed:
        draw(renderer)
    assert len(given) == 2, "one retry, no more"
    assert isinstance(failed.value, Failed)
    assert failed.value.code == "out_of_memory"
    assert draw(renderer) == before


def test_the_render_limit_holds_over_both_tries(renderer: SdxlRenderer, pipeline: Any) -> None:
    steps = count(1)

    def limit() -> None:
        if next(steps) > STEPS:
            raise RenderLimitExceeded

    # All steps of the first try, and then the VAE.
    with failing(pipeline.vae.decoder, out_of_memory, 1), pytest.raises(RenderLimitExceeded):
        renderer.render(PROMPT, SEED, limit)
    assert next(steps) == STEPS + 2


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
    draw(renderer)
    counts = [tensors()]
    held: list[Exception] = []
    first = failing(pipeline.unet, out_of_memory, *range(STEPS, IN_A_ROW * 2 * STEPS, 2 * STEPS))
    with first as given, failing(pipeline.vae.decoder, lambda: RuntimeError(LOOKALIKES[len(held) % 2].text)):
        for _ in range(IN_A_ROW):
            with pytest.raises(OutOfMemory) as failed:
                draw(renderer)
            # As whoever handles it does; what it holds in turn would be seen.
            held.append(failed.value)
            counts.append(tensors())
    print(f"\n{IN_A_ROW} renders out of memory: {counts[0]} tensors besides the model's before, {max(counts)} after")
    assert len(given) == IN_A_ROW
    assert not any(tensor() is not None for tensor in given)
    assert max(counts) == counts[0]


# What every way down has to do, so that wrong ways can be told.


def the_first_try_is_gone_before_the_second(way: Climb, vae: Any) -> None:
    first: list[weakref.ref[Any]] = []

    def drawn() -> Rendering:
        assert not any(tensor() is not None for tensor in first)
        if first:
            return BLANK
        held = torch.zeros(1)
        first.append(weakref.ref(held))
        # With its own frame in a circle, as many in diffusers are.
        error = out_of_memory()
        raise error

    assert way(drawn, vae) is BLANK


def the_second_is_in_tiles_and_later_ones_are_not(way: Climb, vae: Any) -> None:
    before = vae.use_tiling, vae.tile_latent_min_size, vae.tile_sample_min_size
    tries: list[tuple[bool, int, int]] = []

    def drawn() -> Rendering:
        tries.append((vae.use_tiling, vae.tile_latent_min_size, vae.tile_sample_min_size))
        if len(tries) == 1:
            raise out_of_memory()
        return BLANK

    assert way(drawn, vae) is BLANK
    # Those of SDXL's VAE would be 128 and 1024, which is all of its picture.
    assert tries == [before, (True, 64, 512)]
    assert (vae.use_tiling, vae.tile_latent_min_size, vae.tile_sample_min_size) == before


def there_is_one_retry_and_a_failure_that_holds_nothing(way: Climb, vae: Any) -> None:
    tries: list[weakref.ref[Any]] = []

    def drawn() -> Rendering:
        assert len(tries) < 2
        held = torch.zeros(1)
        tries.append(weakref.ref(held))
        raise out_of_memory()

    try:
        way(drawn, vae)
    except OutOfMemory as failure:
        assert [tensor() for tensor in tries] == [None, None], failure  # noqa: PT017  # while it is handled
    else:
        raise AssertionError("it did not fail")


def what_is_fatal_passes(way: Climb, vae: Any) -> None:
    tries: list[None] = []

    def drawn() -> Rendering:
        tries.append(None)
        raise RuntimeError(recorded.FATAL[0].text)

    try:
        way(drawn, vae)
    except RuntimeError as error:
        assert fault_of(error) is Fault.FATAL  # noqa: PT017  # a mutant raises another
    assert len(tries) == 1


SCENARIOS = (
    the_first_try_is_gone_before_the_second,
    the_second_is_in_tiles_and_later_ones_are_not,
    there_is_one_retry_and_a_failure_that_holds_nothing,
    what_is_fatal_passes,
)


def inside_the_except(draw: Draw, vae: Any) -> Rendering:
    try:
        return draw()
    except torch.OutOfMemoryError:
        gc.collect()
        return climb(draw, vae)


def without_collection(draw: Draw, vae: Any) -> Rendering:
    del vae
    gc.disable()
    try:
        with suppress(torch.OutOfMemoryError):
            return draw()
        return draw()
    finally:
        gc.enable()


def in_tiles_for_ever(draw: Draw, vae: Any) -> Rendering:
    def drawn() -> Rendering:
        try:
            return draw()
        except torch.OutOfMemoryError:
            later.append(vae)
            raise

    later: list[Any] = []
    try:
        return climb(drawn, vae)
    finally:
        for each in later:
            each.enable_tiling()


def in_tiles_as_large_as_the_picture(draw: Draw, vae: Any) -> Rendering:
    tries = count(1)

    def drawn() -> Rendering:
        if next(tries) == 2:
            vae.tile_latent_min_size, vae.tile_sample_min_size = 128, 1024
        return draw()

    return climb(drawn, vae)


def without_a_retry(draw: Draw, vae: Any) -> Rendering:
    del vae
    try:
        return draw()
    except torch.OutOfMemoryError as error:
        raise OutOfMemory from error


def a_failure_with_its_cause(draw: Draw, vae: Any) -> Rendering:
    errors: list[Exception] = []

    def drawn() -> Rendering:
        try:
            return draw()
        except torch.OutOfMemoryError as error:
            errors.append(error)
            raise

    try:
        return climb(drawn, vae)
    except OutOfMemory as failure:
        raise failure from errors[-1]


def whatever_it_is(draw: Draw, vae: Any) -> Rendering:
    del vae
    try:
        return draw()
    except RuntimeError:
        return draw()


MUTANTS: dict[Climb, Scenario] = {
    inside_the_except: the_first_try_is_gone_before_the_second,
    without_collection: the_first_try_is_gone_before_the_second,
    in_tiles_for_ever: the_second_is_in_tiles_and_later_ones_are_not,
    in_tiles_as_large_as_the_picture: the_second_is_in_tiles_and_later_ones_are_not,
    without_a_retry: there_is_one_retry_and_a_failure_that_holds_nothing,
    a_failure_with_its_cause: there_is_one_retry_and_a_failure_that_holds_nothing,
    whatever_it_is: what_is_fatal_passes,
}


@pytest.fixture
def vae() -> Any:
    """A VAE that was trained on pictures of SDXL's size."""
    return diffusers.AutoencoderKL(
        block_out_channels=(4, 4, 4, 4),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        norm_num_groups=2,
        sample_size=1024,
    )


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_the_way_down(vae: Any, scenario: Scenario) -> None:
    scenario(climb, vae)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_mutant_is_caught(vae: Any, mutant: Climb) -> None:
    with pytest.raises(AssertionError):
        MUTANTS[mutant](mutant, vae)
