"""Sizes in one word: `1024x768`, or `16:9` for the nearest of the shapes that SDXL was trained on."""

from __future__ import annotations

import math
import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field

# The shapes of SDXL's training, upright (the appendix of its report); each lying down, too.
_UPRIGHT: Final = (
    *((512, height) for height in (2048, 1984, 1920, 1856)),
    *((576, height) for height in (1792, 1728, 1664)),
    *((640, height) for height in (1600, 1536)),
    *((704, height) for height in (1472, 1408, 1344)),
    *((768, height) for height in (1344, 1280)),
    *((832, height) for height in (1216, 1152)),
    *((896, height) for height in (1152, 1088)),
    *((960, height) for height in (1088, 1024)),
)
BUCKETS: Final = (*_UPRIGHT, (1024, 1024), *((width, height) for height, width in reversed(_UPRIGHT)))
TRAINED: Final = 1024

_SIZE: Final = r"([0-9]{2,4})x([0-9]{2,4})"
_RATIO: Final = r"([0-9]{1,4}(?:\.[0-9]{1,4})?):([0-9]{1,4}(?:\.[0-9]{1,4})?)"


def size_of(text: str) -> tuple[int, int]:
    """Width and height of `WxH`; ValueError where that is no size of a picture."""
    found = re.fullmatch(_SIZE, text)
    sides = tuple(map(int, found.groups())) if found else ()
    if not found or any(side % 8 or not 64 <= side <= 2048 for side in sides):
        raise ValueError("must be a width and a height such as 1024x768, each a multiple of 8 from 64 to 2048")
    width, height = sides
    return width, height


def ratio_of(text: str) -> float:
    """Width by height of `W:H`; ValueError where that is no ratio, or one that SDXL was never trained on."""
    found = re.fullmatch(_RATIO, text)
    width, height = map(float, found.groups()) if found else (0.0, 0.0)
    if not width or not height or not 1 / 4 <= width / height <= 4:
        raise ValueError("must be a width and a height such as 16:9, from 1:4 to 4:1")
    return width / height


def bucket(ratio: float, native: int = TRAINED) -> tuple[int, int]:
    """Width and height of the trained shape nearest to `ratio`, for a model whose own square is `native` across."""
    width, height = min(BUCKETS, key=lambda sides: abs(math.log(sides[0] / sides[1] / ratio)))
    return _scaled(width, native), _scaled(height, native)


def _scaled(side: int, native: int) -> int:
    return max(64, round(side * native / TRAINED / 8) * 8)


def _is_size(text: str) -> str:
    size_of(text)
    return text


def _is_ratio(text: str) -> str:
    ratio_of(text)
    return text


Size = Annotated[str, Field(json_schema_extra={"pattern": f"^{_SIZE}$"}), AfterValidator(_is_size)]
AspectRatio = Annotated[str, Field(json_schema_extra={"pattern": f"^{_RATIO}$"}), AfterValidator(_is_ratio)]
