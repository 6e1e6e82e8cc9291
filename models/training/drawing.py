"""The synthetic world that `models/shapes` learns: one coloured shape on a coloured background."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

SIZE = 128
COLOURS = {
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
COLOUR_NAMES = tuple(COLOURS)
WORDS = ("a", "on", "background", *COLOUR_NAMES, *SHAPES)

# The largest distance from the centre that a shape of radius 1 reaches.
REACH = {"circle": 1.0, "square": 0.8, "triangle": 1.12, "star": 1.08, "ring": 1.0, "cross": 1.0}
# Stars are the hardest to draw, so they come twice as often.
SHAPE_WEIGHTS = torch.tensor([1.0, 1.0, 1.0, 2.0, 1.0, 1.0])
# Pixels. Eight times smaller, a smaller star has no points left.
SMALLEST = {"star": 32.0}
SMALL, LARGE = 22.0, 46.0
# Pixels. Where shapes may lie is learned with a blur: without a margin, one in ten touches the edge.
MARGIN = 8


@dataclass(frozen=True)
class Scenes:
    """A batch of pictures to draw: indices into SHAPES and COLOUR_NAMES, radius and centre in pixels."""

    shape: Tensor
    colour: Tensor
    background: Tensor
    radius: Tensor
    x: Tensor
    y: Tensor

    def caption(self, i: int) -> str:
        """The full sentence for picture `i`."""
        colour, background = COLOUR_NAMES[int(self.colour[i])], COLOUR_NAMES[int(self.background[i])]
        return f"a {colour} {SHAPES[int(self.shape[i])]} on a {background} background"


def random_scenes(count: int, generator: torch.Generator) -> Scenes:
    """Scenes whose shape lies at least MARGIN inside the picture and whose two colours differ."""

    def uniform(low: float | Tensor, high: float | Tensor) -> Tensor:
        return low + (high - low) * torch.rand(count, generator=generator)

    shape = torch.multinomial(SHAPE_WEIGHTS, count, replacement=True, generator=generator)
    colour = torch.randint(len(COLOURS), (count,), generator=generator)
    other = torch.randint(1, len(COLOURS), (count,), generator=generator)
    radius = uniform(torch.tensor([SMALLEST.get(name, SMALL) for name in SHAPES])[shape], LARGE)
    reach = torch.tensor([REACH[name] for name in SHAPES])[shape] * radius + MARGIN
    return Scenes(
        shape=shape,
        colour=colour,
        background=(colour + other) % len(COLOURS),
        radius=radius,
        x=uniform(reach, SIZE - reach),
        y=uniform(reach, SIZE - reach),
    )


def distance(shape: str, x: Tensor, y: Tensor, r: Tensor) -> Tensor:
    """Signed distance in pixels to the outline (negative inside), y pointing down."""
    rho = torch.hypot(x, y)
    match shape:
        case "circle":
            return rho - r
        case "square":
            return torch.maximum(x.abs(), y.abs()) - 0.8 * r
        case "triangle":
            slant = math.sqrt(3) / 2 * x.abs() - y / 2
            return torch.maximum(slant, y) - 1.12 * r / 2
        case "ring":
            return (rho - 0.74 * r).abs() - 0.26 * r
        case "cross":
            wide = torch.maximum(x.abs() - r, y.abs() - r / 3)
            tall = torch.maximum(x.abs() - r / 3, y.abs() - r)
            return torch.minimum(wide, tall)
        case "star":
            # Fold the plane into one tenth of the star, where its outline is a single line from a point to a notch.
            step = math.pi / 5
            angle = torch.atan2(x, -y)
            folded = ((angle + step) % (2 * step) - step).abs()
            u, v = rho * torch.cos(folded), rho * torch.sin(folded)
            outer, inner = 1.08 * r, 1.08 * 0.42 * r
            du, dv = inner * math.cos(step) - outer, inner * math.sin(step)
            return ((u - outer) * dv - v * du) / torch.hypot(du, dv)
    raise ValueError(shape)


def draw(scenes: Scenes, generator: torch.Generator, *, size: int = SIZE, any_colour: float = 0.0) -> Tensor:
    """Pictures as (n, 3, size, size) in [-1, 1], antialiased over one pixel, colours jittered by up to 8 levels.

    A smaller `size` crops a window around the shape. A share `any_colour` gets random RGB colours instead.
    """
    n = len(scenes.shape)
    palette = torch.tensor(list(COLOURS.values()), dtype=torch.float32)
    paint = torch.stack([palette[scenes.colour], palette[scenes.background]])
    wild = torch.rand(n, generator=generator) < any_colour
    paint = torch.where(wild[None, :, None], 255 * torch.rand(2, n, 3, generator=generator), paint)
    paint = (paint + 16 * torch.rand(2, n, 3, generator=generator) - 8).clamp(0, 255)

    left = torch.zeros(2, n)
    if size < SIZE:
        wish = torch.stack([scenes.x, scenes.y]) - size / 2 + (torch.rand(2, n, generator=generator) - 0.5) * size
        left = wish.round().clamp(0, SIZE - size)
    pixel = torch.arange(size) + 0.5
    x = (pixel[None, None, :] + (left[0] - scenes.x)[:, None, None]).expand(n, size, size)
    y = (pixel[None, :, None] + (left[1] - scenes.y)[:, None, None]).expand(n, size, size)
    cover = torch.empty(n, 1, size, size)
    for index, name in enumerate(SHAPES):
        where = scenes.shape == index
        edge = distance(name, x[where], y[where], scenes.radius[where][:, None, None])
        cover[where] = (0.5 - edge).clamp(0, 1)[:, None]
    front, back = paint[0][:, :, None, None], paint[1][:, :, None, None]
    return (back + (front - back) * cover) / 127.5 - 1
