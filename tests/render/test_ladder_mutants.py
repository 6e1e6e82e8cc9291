"""Every way down the ladder is held to the same scenarios, the wrong ones too."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from functools import partial
from itertools import islice
from typing import Any

import diffusers
import pytest
import torch

from function.errors import OutOfMemory
from function.render.faults import Fault, fault_of
from function.render.ladder import climb
from function.render.memory import TILE, Rung, tiled
from tests.render import recorded
from tests.render.test_ladder import out_of_memory

BLANK = object()

Draw = Callable[[], object]
Rungs = Mapping[Any, Rung]
Climb = Callable[[Draw, Rungs], tuple[object, Any]]
Scenario = Callable[[Climb, Any], None]


def rungs_of(vae: Any) -> tuple[dict[str, Rung], list[str]]:
    """Three rungs, and a list of those that are stood on."""
    stood_on: list[str] = []

    @contextmanager
    def rung(name: str) -> Iterator[None]:
        stood_on.append(name)
        try:
            with tiled(vae, TILE) if name == "tiles" else nullcontext():
                yield
        finally:
            stood_on.remove(name)

    return {name: partial(rung, name) for name in ("first", "tiles", "last")}, stood_on


def the_first_try_is_gone_before_the_second(way: Climb, vae: Any) -> None:
    first: list[weakref.ref[Any]] = []

    def drawn() -> object:
        assert not any(tensor() is not None for tensor in first)
        if first:
            return BLANK
        held = torch.zeros(1)
        first.append(weakref.ref(held))
        # With its own frame in a circle, as many in diffusers are.
        error = out_of_memory()
        raise error

    assert way(drawn, rungs_of(vae)[0]) == (BLANK, "tiles")


def each_is_tried_upon_those_before_and_all_are_left(way: Climb, vae: Any) -> None:
    before = vae.use_tiling, vae.tile_latent_min_size, vae.tile_sample_min_size
    rungs, stood_on = rungs_of(vae)
    tries: list[tuple[str, ...]] = []
    tiling: list[tuple[bool, int, int]] = []

    def drawn() -> object:
        tries.append(tuple(stood_on))
        tiling.append((vae.use_tiling, vae.tile_latent_min_size, vae.tile_sample_min_size))
        if len(tries) < 3:
            raise out_of_memory()
        return BLANK

    assert way(drawn, rungs) == (BLANK, "last")
    assert tries == [("first",), ("first", "tiles"), ("first", "tiles", "last")]
    # Those of SDXL's VAE would be 128 and 1024, which is all of its picture.
    assert tiling == [before, (True, 64, 512), (True, 64, 512)]
    assert (vae.use_tiling, vae.tile_latent_min_size, vae.tile_sample_min_size) == before
    assert not stood_on


def the_failure_comes_after_the_last_and_holds_nothing(way: Climb, vae: Any) -> None:
    tries: list[weakref.ref[Any]] = []
    rungs, stood_on = rungs_of(vae)

    def drawn() -> object:
        assert len(tries) < len(rungs)
        held = torch.zeros(1)
        tries.append(weakref.ref(held))
        raise out_of_memory()

    try:
        way(drawn, rungs)
    except OutOfMemory as failure:
        assert [tensor() for tensor in tries] == [None] * len(rungs), failure  # noqa: PT017  # while it is handled
    else:
        raise AssertionError("it did not fail")
    assert not stood_on


def a_rung_that_cannot_be_stood_on_is_left_out(way: Climb, vae: Any) -> None:
    rungs, _ = rungs_of(vae)
    tries: list[None] = []

    def drawn() -> object:
        tries.append(None)
        if len(tries) == 1:
            raise out_of_memory()
        return BLANK

    def short() -> AbstractContextManager[None]:
        raise MemoryError("the machine has no room")

    assert way(drawn, rungs | {"tiles": short}) == (BLANK, "last")


def what_is_fatal_passes(way: Climb, vae: Any) -> None:
    tries: list[None] = []
    rungs, stood_on = rungs_of(vae)

    def drawn() -> object:
        tries.append(None)
        raise RuntimeError(recorded.FATAL[0].text)

    try:
        way(drawn, rungs)
    except RuntimeError as error:
        assert fault_of(error) is Fault.FATAL  # noqa: PT017  # a mutant raises another
    assert len(tries) == 1
    assert not stood_on


SCENARIOS = (
    the_first_try_is_gone_before_the_second,
    each_is_tried_upon_those_before_and_all_are_left,
    the_failure_comes_after_the_last_and_holds_nothing,
    a_rung_that_cannot_be_stood_on_is_left_out,
    what_is_fatal_passes,
)


def inside_the_except(draw: Draw, rungs: Rungs) -> tuple[object, Any]:
    try:
        return draw(), "first"
    except torch.OutOfMemoryError:
        gc.collect()
        return climb(draw, dict(islice(rungs.items(), 1, None)))


def without_collection(draw: Draw, rungs: Rungs) -> tuple[object, Any]:
    gc.disable()
    try:
        with suppress(torch.OutOfMemoryError):
            return draw(), "first"
        with rungs["tiles"]():
            return draw(), "tiles"
    finally:
        gc.enable()


def each_by_itself(draw: Draw, rungs: Rungs) -> tuple[object, Any]:
    for name, rung in rungs.items():
        with suppress(OutOfMemory):
            return climb(draw, {name: rung})
    raise OutOfMemory


stayed_on: list[AbstractContextManager[None]] = []


def upon_them_for_ever(draw: Draw, rungs: Rungs) -> tuple[object, Any]:
    got = climb(draw, rungs)
    for rung in rungs.values():
        stayed_on.append(rung())
        stayed_on[-1].__enter__()
    return got


def without_a_retry(draw: Draw, rungs: Rungs) -> tuple[object, Any]:
    return climb(draw, dict(islice(rungs.items(), 1)))


def only_once_more(draw: Draw, rungs: Rungs) -> tuple[object, Any]:
    return climb(draw, dict(islice(rungs.items(), 2)))


def a_failure_with_its_cause(draw: Draw, rungs: Rungs) -> tuple[object, Any]:
    errors: list[Exception] = []

    def drawn() -> object:
        try:
            return draw()
        except torch.OutOfMemoryError as error:
            errors.append(error)
            raise

    try:
        return climb(drawn, rungs)
    except OutOfMemory as failure:
        raise failure from errors[-1]


def falling_from_where_it_cannot_stand(draw: Draw, rungs: Rungs) -> tuple[object, Any]:
    with ExitStack() as stack:
        for name, rung in rungs.items():
            stack.enter_context(rung())
            with suppress(OutOfMemory):
                return climb(draw, {name: nullcontext})
    raise OutOfMemory


def whatever_it_is(draw: Draw, rungs: Rungs) -> tuple[object, Any]:
    for name in rungs:
        with suppress(RuntimeError):
            return draw(), name
    raise OutOfMemory


MUTANTS: dict[Climb, Scenario] = {
    inside_the_except: the_first_try_is_gone_before_the_second,
    without_collection: the_first_try_is_gone_before_the_second,
    each_by_itself: each_is_tried_upon_those_before_and_all_are_left,
    upon_them_for_ever: each_is_tried_upon_those_before_and_all_are_left,
    without_a_retry: each_is_tried_upon_those_before_and_all_are_left,
    only_once_more: the_failure_comes_after_the_last_and_holds_nothing,
    a_failure_with_its_cause: the_failure_comes_after_the_last_and_holds_nothing,
    falling_from_where_it_cannot_stand: a_rung_that_cannot_be_stood_on_is_left_out,
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
    with pytest.raises((AssertionError, OutOfMemory, MemoryError)):
        MUTANTS[mutant](mutant, vae)
