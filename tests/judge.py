"""Tells colour, shape and background of a picture from its pixels alone, sharing no code with what made it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Pixels = NDArray[np.float32]
Mask = NDArray[np.bool_]

PALETTE = {
    "red": (220, 40, 40),
    "green": (40, 165, 70),
    "blue": (40, 80, 220),
    "yellow": (245, 215, 50),
    "purple": (150, 55, 190),
    "cyan": (60, 205, 220),
    "white": (245, 245, 245),
    "black": (20, 20, 20),
}
SHAPES = ("circle", "square", "triangle", "star", "ring", "cross")

# Distances in RGB. No two palette colours are nearer than 117, so no pixel can have two names.
SAME_COLOUR = 50.0
NOT_BACKGROUND = 40.0

TOUCHING_EDGE = 0.03  # of the outermost pixels
SMALLEST_SHAPE = 0.01  # of the picture
MAIN_PART = 0.9  # of all that is not background
THIRD_COLOUR = 0.01  # of the picture
ASPECT = (0.75, 1.35)
ALIKE = 0.80  # intersection over union with the template
TEMPLATE = 64  # pixels across
SOFTEST_EDGE = 0.03  # of the picture's shorter side, at least 3 pixels

CAPTION = re.compile(rf"a ({'|'.join(PALETTE)}) ({'|'.join(SHAPES)}) on a ({'|'.join(PALETTE)}) background")


@dataclass(frozen=True)
class Verdict:
    """What is seen; None, with the reason, where the picture is not clearly anything. Only what is seen compares."""

    colour: str | None
    shape: str | None
    background: str | None
    reason: str = field(default="", compare=False)
    iou: float = field(default=0.0, compare=False)


def is_right(image: Image.Image, caption: str) -> bool:
    """Whether the picture clearly shows "a COLOUR SHAPE on a COLOUR background"; ValueError on any other caption."""
    return judge(image) == asked(caption)


def asked(caption: str) -> Verdict:
    """What the caption asks for; ValueError when it is not "a COLOUR SHAPE on a COLOUR background"."""
    parts = CAPTION.fullmatch(caption)
    if parts is None:
        raise ValueError(f'the judge knows only "a COLOUR SHAPE on a COLOUR background", not {caption!r}')
    colour, shape, background = parts.groups()
    return Verdict(colour, shape, background)


def judge(image: Image.Image) -> Verdict:
    """What the picture shows: one flat, crisp, whole shape on one flat background, or why not."""
    image = image.convert("RGB")
    image = image.reduce(max(1, min(image.size) // 128))
    pixels = np.asarray(image, dtype=np.float32)

    ground: Pixels = np.median(outermost(pixels), axis=0)
    background = colour_name(ground)
    things = far(pixels, ground) > NOT_BACKGROUND
    if things.mean() < SMALLEST_SHAPE:
        return Verdict(None, None, background, "there is nothing on the background")
    main = largest_part(things)
    if main.sum() < MAIN_PART * things.sum():
        return Verdict(None, None, background, "there is more than one thing on the background")

    core = shrunk(shrunk(main))
    paint: Pixels = np.median(pixels[core if core.any() else main], axis=0)
    colour = colour_name(paint)
    step = paint - ground
    cover = (pixels - ground) @ step / max(step @ step, 1)
    blend = ground + np.clip(cover, 0, 1)[..., None] * step
    if (far(pixels, blend) > SAME_COLOUR).mean() > THIRD_COLOUR:
        return Verdict(colour, None, background, "there is a third colour")
    solid = main & (cover > 0.5)
    if outermost(solid).mean() > TOUCHING_EDGE:
        return Verdict(colour, None, background, "the shape touches the edge of the picture")
    softness = ((cover > 0.2) & (cover < 0.8)).sum() / max((solid & ~shrunk(solid)).sum(), 1)
    if softness > max(3.0, SOFTEST_EDGE * min(image.size)):
        return Verdict(colour, None, background, f"the outline is blurred over {softness:.1f} pixels")

    shape, iou, reason = shape_name(solid)
    for name, what in ((colour, "shape"), (background, "background")):
        if name is None:
            reason = reason or f"the {what} has no colour of the palette"
    return Verdict(colour, shape, background, reason, iou)


def outermost(picture: NDArray[Any]) -> NDArray[Any]:
    """The pixels along the picture's four edges, in a row."""
    return np.concatenate([picture[0], picture[-1], picture[1:-1, 0], picture[1:-1, -1]])


def far(a: Pixels, b: Pixels) -> Pixels:
    distance: Pixels = np.linalg.norm(a - b, axis=-1)
    return distance


def colour_name(colour: Pixels) -> str | None:
    name = min(PALETTE, key=lambda name: math.dist(PALETTE[name], colour))
    return name if math.dist(PALETTE[name], colour) <= SAME_COLOUR else None


def shape_name(solid: Mask) -> tuple[str | None, float, str]:
    """The shape whose template fits the mask best when both are stretched to the same box, how well, and why not."""
    wide = aspect(solid)
    if not ASPECT[0] <= wide <= ASPECT[1]:
        return None, 0.0, f"the shape is {wide:.2f} times as wide as high"
    seen = stretched(Image.fromarray(solid).crop(box_of(solid)))
    fits = {name: float((seen & ideal).sum() / (seen | ideal).sum()) for name, ideal in templates().items()}
    best = max(fits, key=lambda name: fits[name])
    if fits[best] < ALIKE:
        return None, fits[best], f"the shape is most like a {best}, but its overlap is only {fits[best]:.2f}"
    return best, fits[best], ""


def box_of(mask: Mask) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of what the mask holds."""
    return Image.fromarray(mask).getbbox() or (0, 0, 1, 1)


def aspect(mask: Mask) -> float:
    left, top, right, bottom = box_of(mask)
    return (right - left) / (bottom - top)


@cache
def templates() -> dict[str, Mask]:
    """Each shape drawn to fill a box, one eighth of a template's pixel fine."""
    wide = TEMPLATE * 8 - 1
    drawings = {name: Image.new("L", (wide + 1, wide + 1)) for name in SHAPES}
    pens = {name: ImageDraw.Draw(drawing) for name, drawing in drawings.items()}
    pens["circle"].ellipse((0, 0, wide, wide), fill=255)
    pens["square"].rectangle((0, 0, wide, wide), fill=255)
    pens["triangle"].polygon([(wide / 2, 0), (wide, wide), (0, wide)], fill=255)
    pens["ring"].ellipse((0, 0, wide, wide), fill=255)
    pens["ring"].ellipse((0.26 * wide, 0.26 * wide, 0.74 * wide, 0.74 * wide), fill=0)
    pens["cross"].rectangle((wide / 3, 0, 2 * wide / 3, wide), fill=255)
    pens["cross"].rectangle((0, wide / 3, wide, 2 * wide / 3), fill=255)
    turns = [(math.pi * k / 5, 0.42 if k % 2 else 1.0) for k in range(10)]
    corners = np.array([(reach * math.sin(turn), -reach * math.cos(turn)) for turn, reach in turns])
    corners = (corners - corners.min(axis=0)) / np.ptp(corners, axis=0) * wide
    pens["star"].polygon([(x, y) for x, y in corners.tolist()], fill=255)
    return {name: stretched(drawing) for name, drawing in drawings.items()}


def stretched(mask: Image.Image) -> Mask:
    resized = mask.convert("L").resize((TEMPLATE, TEMPLATE), Image.Resampling.BOX)
    inside: Mask = np.asarray(resized) > 127
    return inside


def shrunk(mask: Mask) -> Mask:
    """The mask without the pixels that have a direct neighbour outside it."""
    wide = np.pad(mask, 1)
    return mask & wide[:-2, 1:-1] & wide[2:, 1:-1] & wide[1:-1, :-2] & wide[1:-1, 2:]


def largest_part(mask: Mask) -> Mask:
    """The largest of the mask's connected parts (by direct neighbours)."""
    outside = mask.size
    labels = np.where(mask, np.arange(outside).reshape(mask.shape), outside)
    while True:
        wide = np.pad(labels, 1, constant_values=outside)
        neighbours = (wide[:-2, 1:-1], wide[2:, 1:-1], wide[1:-1, :-2], wide[1:-1, 2:])
        lowest = np.where(mask, np.minimum.reduce([labels, *neighbours]), outside)
        # A label is the index of a pixel of the same part, whose own label may be lower already.
        lowest = np.append(lowest, outside)[lowest]
        if np.array_equal(lowest, labels):
            break
        labels = lowest
    part: Mask = labels == np.bincount(labels[mask]).argmax()
    return part
