"""When memory runs out: once more with less of it, then with less still, then a failure."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, TypeVar

import structlog

from function.errors import OutOfMemory
from function.render.faults import Fault, fault_of, first_line

if TYPE_CHECKING:
    from function.render.memory import Rung

log = structlog.get_logger()

Name = TypeVar("Name", bound=str)
T = TypeVar("T")


def climb(draw: Callable[[], T], rungs: Mapping[Name, Rung]) -> tuple[T, Name]:
    """What `draw` gives and on which rung, each tried where memory ran out on those before, which stay as they are.

    `OutOfMemory` if it does so on the last one, too; in any case the rungs are left before this returns.
    """
    with ExitStack() as stood_on:
        for name, rung in rungs.items():
            got = _try(stood_on, name, rung, draw)
            if got is not None:
                return got, name
    raise OutOfMemory


def _try(stood_on: ExitStack, name: str, rung: Rung, draw: Callable[[], T]) -> T | None:
    import torch

    try:
        stood_on.enter_context(rung())
        return draw()
    except Exception as error:
        if fault_of(error) is not Fault.OUT_OF_MEMORY:
            raise
        log.warning("memory.ran_out", rung=name, error=first_line(error))
    # Only here: until the `except` is left, the exception holds its frames, and they hold their tensors.
    gc.collect()
    torch.cuda.empty_cache()
    return None
