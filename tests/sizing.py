"""How much of a harness runs: a slice in `make test`, all of it in `make chaos`."""

from __future__ import annotations

import os
from typing import Final, TypeVar

FULL: Final = os.environ.get("DARKROOM_CHAOS") == "full"

T = TypeVar("T")


def sized(slice_: T, full: T) -> T:
    """`full` in `make chaos`, else `slice_`; what uses it is marked `chaos`."""
    return full if FULL else slice_
