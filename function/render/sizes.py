"""How large a picture becomes, and as a picture of what size the model takes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from events.prompt.canvas import Canvas
from events.prompt.sizes import bucket, ratio_of, size_of

Pair = tuple[int, int]


def sides(canvas: Canvas, native: int, usual: Pair | None = None) -> Pair:
    """Width and height: as asked for in one of the three ways; what is left out as in `usual`, else the model's own."""
    if canvas.size is not None:
        return size_of(canvas.size)
    if canvas.aspect_ratio is not None:
        return bucket(ratio_of(canvas.aspect_ratio), native)
    width, height = usual or (native, native)
    return canvas.width or width, canvas.height or height


def said_as(canvas: Canvas, width: int, height: int) -> dict[str, Any]:
    """The canvas with its size in the words that a pipeline takes, and what was left out of that filled in."""
    return {
        "width": width,
        "height": height,
        "size": None,
        "aspect_ratio": None,
        "original_size": canvas.original_size or [height, width],
        "target_size": canvas.target_size or [height, width],
        "crops_coords_top_left": canvas.crops_coords_top_left or [0, 0],
    }


def as_pairs(rendered: Mapping[str, Any]) -> dict[str, Pair]:
    """What a pipeline takes of such a canvas beside its sides.

    Always all of it: of the negative pairs diffusers reads none unless both sizes are given, and forgets other crops.
    """
    pairs = {}
    for name in ("original_size", "target_size", "crops_coords_top_left"):
        pairs[name] = _pair(rendered[name])
        pairs[f"negative_{name}"] = _pair(rendered[f"negative_{name}"] or rendered[name])
    return pairs


def _pair(sides: Sequence[int]) -> Pair:
    # Some pipelines add them to tuples of their own.
    first, second = sides
    return first, second
