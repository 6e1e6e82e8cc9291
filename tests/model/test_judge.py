"""The judge is right about drawn pictures, and takes nothing else for right."""

from __future__ import annotations

import importlib.util
import itertools
import random
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from tests.judge import PALETTE, SHAPES, asked, is_right, judge

REPOSITORY = Path(__file__).parents[2]
COUNT = 500
Draw = Callable[..., Image.Image]


@pytest.fixture(scope="module")
def drawing() -> ModuleType:
    """`models/training/drawing.py`, which is no package's."""
    spec = importlib.util.spec_from_file_location("drawing", REPOSITORY / "models/training/drawing.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["drawing"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def as_images(tensor: Any) -> list[Image.Image]:
    levels = ((tensor + 1) * 127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()
    return [Image.fromarray(picture) for picture in levels]


@pytest.fixture(scope="module")
def drawn(drawing: ModuleType) -> list[tuple[Image.Image, str]]:
    import torch

    generator = torch.Generator().manual_seed(404)
    scenes = drawing.random_scenes(COUNT, generator)
    images = as_images(drawing.draw(scenes, generator))
    return [(image, scenes.caption(i)) for i, image in enumerate(images)]


@pytest.fixture(scope="module")
def draw(drawing: ModuleType) -> Draw:
    """Draws one shape (red on white unless told otherwise), of radius 34 in the middle unless told otherwise."""
    import torch

    @cache
    def draw_one(
        shape: str, colour: str = "red", background: str = "white", *, radius: float = 34, x: float = 64, y: float = 64
    ) -> Image.Image:
        names = drawing.COLOUR_NAMES
        scenes = drawing.Scenes(
            shape=torch.tensor([drawing.SHAPES.index(shape)]),
            colour=torch.tensor([names.index(colour)]),
            background=torch.tensor([names.index(background)]),
            radius=torch.tensor([float(radius)]),
            x=torch.tensor([float(x)]),
            y=torch.tensor([float(y)]),
        )
        return as_images(drawing.draw(scenes, torch.Generator().manual_seed(1)))[0]

    return draw_one


def refuses(image: Image.Image, caption: str) -> None:
    """Asserts that the picture is not right, and that the judge says why when it saw nothing clear."""
    verdict = judge(image)
    assert not is_right(image, caption), verdict
    assert verdict.reason or None not in (verdict.colour, verdict.shape, verdict.background), verdict
    print(f"{caption}: {verdict.reason or verdict}")


def test_drawn_pictures_are_right(drawn: list[tuple[Image.Image, str]]) -> None:
    verdicts = [judge(image) for image, _ in drawn]
    wrong = [(c, verdict) for (_, c), verdict in zip(drawn, verdicts, strict=True) if verdict != asked(c)]
    print(f"\ndrawn: {COUNT - len(wrong)}/{COUNT} right, least overlap {min(verdict.iou for verdict in verdicts):.3f}")
    assert {asked(caption).shape for _, caption in drawn} == set(SHAPES)
    assert COUNT - len(wrong) >= 0.99 * COUNT, wrong


def test_shuffled_captions_are_not_right(drawn: list[tuple[Image.Image, str]]) -> None:
    captions = [caption for _, caption in drawn]
    random.Random(0).shuffle(captions)
    right = sum(is_right(image, caption) for (image, _), caption in zip(drawn, captions, strict=True))
    print(f"\nshuffled: {right}/{COUNT} right")
    assert right <= 0.05 * COUNT


@pytest.mark.parametrize("size", [64, 256, 1024])
def test_other_sizes_are_judged_alike(drawn: list[tuple[Image.Image, str]], size: int) -> None:
    few = [(image.resize((size, size), Image.Resampling.BICUBIC), caption) for image, caption in drawn[:50]]
    right = sum(is_right(image, caption) for image, caption in few)
    print(f"\n{size} pixels: {right}/50 right")
    assert right >= 49


def test_no_other_caption_is_right(draw: Draw) -> None:
    seen = judge(draw("star", "green", "purple"))
    captions = [f"a {c} {s} on a {b} background" for c in PALETTE for s in SHAPES for b in PALETTE]
    assert [c for c in captions if asked(c) == seen] == ["a green star on a purple background"]


@pytest.mark.parametrize(
    "caption",
    [
        "",
        "a red circle",
        "a pink circle on a white background",
        "a red circle on a white background, blurred",
        "not a red circle on a white background",
    ],
)
def test_captions_it_does_not_know_are_an_error(draw: Draw, caption: str) -> None:
    with pytest.raises(ValueError, match="knows only"):
        is_right(draw("circle"), caption)


def test_noise_is_nothing() -> None:
    dice = np.random.default_rng(0)
    for spread in (20, 60, 255):
        for _ in range(5):
            levels = 245 + dice.uniform(-spread, spread, (128, 128, 3))
            image = Image.fromarray(levels.clip(0, 255).astype(np.uint8))
            assert judge(image).shape is None
            refuses(image, "a black circle on a white background")


@pytest.mark.parametrize("background", PALETTE)
def test_a_blank_picture_holds_no_shape(background: str) -> None:
    image = Image.new("RGB", (128, 128), PALETTE[background])
    assert (judge(image).shape, judge(image).background) == (None, background)
    for shape in SHAPES:
        refuses(image, f"a {background} {shape} on a {background} background")


@pytest.mark.parametrize("shape", SHAPES)
def test_blurred_shapes_are_not_right(draw: Draw, shape: str) -> None:
    caption = f"a red {shape} on a white background"
    assert is_right(draw(shape), caption)
    assert is_right(draw(shape).filter(ImageFilter.GaussianBlur(0.7)), caption)
    for sigma in (4, 8, 16):
        refuses(draw(shape).filter(ImageFilter.GaussianBlur(sigma)), caption)


def rounded(image: Image.Image, sigma: float) -> Image.Image:
    """The picture (red on white) with its corners rounded off, but its area kept and its outline crisp."""
    fine = np.asarray(image.getchannel("G").resize((512, 512), Image.Resampling.BICUBIC)) < 142
    soft = np.asarray(Image.fromarray(fine).convert("L").filter(ImageFilter.GaussianBlur(4 * sigma)))
    cut = np.quantile(soft, 1 - fine.mean())
    mask = Image.fromarray(soft > cut).convert("L").resize(image.size, Image.Resampling.BOX)
    red, white = (Image.new("RGB", image.size, PALETTE[colour]) for colour in ("red", "white"))
    return Image.composite(red, white, mask)


@pytest.mark.parametrize("shape", ["square", "triangle", "star", "ring", "cross"])
def test_shapes_rounded_to_blobs_are_not_right(draw: Draw, shape: str) -> None:
    caption = f"a red {shape} on a white background"
    assert is_right(rounded(draw(shape), 0.5), caption)
    for sigma in (12, 15, 20):
        blob = rounded(draw(shape), sigma)
        assert (judge(blob).colour, judge(blob).background) == ("red", "white")
        refuses(blob, caption)


@pytest.mark.parametrize(("shape", "sigma"), [("triangle", 6), ("star", 3), ("cross", 10)])
def test_shapes_rounded_half_way_to_blobs_are_unclear(draw: Draw, shape: str, sigma: float) -> None:
    verdict = judge(rounded(draw(shape), sigma))
    print(f"{shape}: {verdict.reason}")
    assert (verdict.colour, verdict.shape, verdict.background) == ("red", None, "white")


@pytest.mark.parametrize(
    ("stranger", "corners"),
    {
        "triangle upside down": [(30, 30), (98, 30), (64, 89)],
        "square on its corner": [(64, 20), (108, 64), (64, 108), (20, 64)],
        "right-angled triangle": [(30, 30), (98, 98), (30, 98)],
        "hourglass": [(30, 30), (98, 30), (70, 64), (98, 98), (30, 98), (58, 64)],
        "corner": [(30, 30), (60, 30), (60, 68), (98, 68), (98, 98), (30, 98)],
        "arrow": [(64, 30), (98, 64), (78, 64), (78, 98), (50, 98), (50, 64), (30, 64)],
    }.items(),
)
def test_other_shapes_are_none_of_ours(stranger: str, corners: list[tuple[int, int]]) -> None:
    image = Image.new("RGB", (128, 128), PALETTE["white"])
    ImageDraw.Draw(image).polygon(corners, fill=PALETTE["red"])
    verdict = judge(image)
    print(f"{stranger}: {verdict.reason}")
    assert (verdict.colour, verdict.shape, verdict.background) == ("red", None, "white")
    assert "overlap" in verdict.reason


@pytest.mark.parametrize("shape", SHAPES)
def test_two_shapes_are_not_one(draw: Draw, shape: str) -> None:
    left = np.asarray(draw(shape, radius=24, x=30))
    for colour, second, x in itertools.product(("red", "blue"), SHAPES, (98, 70)):  # apart, and overlapping
        right = np.asarray(draw(second, colour, radius=24, x=x))
        both = np.where((right.min(axis=-1) < 235)[..., None], right, left)
        refuses(Image.fromarray(both), f"a red {shape} on a white background")


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_on_top_of_a_shape_is_not_one(draw: Draw, shape: str) -> None:
    below = np.asarray(draw(shape, radius=40))
    for second in SHAPES:
        above = np.asarray(draw(second, "blue", radius=22))
        both = np.where((above.min(axis=-1) < 235)[..., None], above, below)
        refuses(Image.fromarray(both), f"a red {shape} on a white background")


@pytest.mark.parametrize("shape", SHAPES)
def test_two_backgrounds_are_not_one(draw: Draw, shape: str) -> None:
    both = draw(shape, background="white").copy()
    both.paste(draw(shape, background="yellow").crop((60, 0, 128, 128)), (60, 0))
    for background in ("white", "yellow"):
        refuses(both, f"a red {shape} on a {background} background")


def test_colours_whose_median_is_the_background_are_no_shape() -> None:
    pixels = np.full((128, 128, 3), 245, dtype=np.uint8)
    for channel in range(3):
        pixels[40:88, 40 + 16 * channel : 56 + 16 * channel, channel] = 0
    refuses(Image.fromarray(pixels), "a white square on a white background")


@pytest.mark.parametrize("shape", SHAPES)
def test_wrong_colours_are_not_right(draw: Draw, shape: str) -> None:
    caption = f"a red {shape} on a white background"
    refuses(draw(shape, "blue", "white"), caption)
    refuses(draw(shape, "red", "yellow"), caption)
    refuses(draw(shape, "white", "red"), caption)
    for orange in ((250, 140, 20), (128, 128, 128)):
        pixels = np.array(draw(shape, "black"))
        pixels[pixels.max(axis=-1) < 130] = orange
        assert judge(Image.fromarray(pixels)).colour is None
        refuses(Image.fromarray(pixels), caption)


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_that_the_edge_cuts_are_not_right(draw: Draw, shape: str) -> None:
    caption = f"a red {shape} on a white background"
    reach = 0.8 if shape == "square" else 1.0
    for radius in (30, 40):
        half = reach * radius
        assert is_right(draw(shape, radius=radius, x=half + 2, y=64), caption), "near the edge, whole"
        for lost in (0.15, 0.3, 0.5):
            refuses(draw(shape, radius=radius, x=half - lost * 2 * half, y=64), caption)
    for x, y in ((0, 64), (128, 64), (64, 0), (64, 128), (0, 0)):
        for radius in (22, 34, 46):
            refuses(draw(shape, radius=radius, x=x, y=y), caption)


def test_the_judge_shares_no_code_with_what_it_judges() -> None:
    script = "import sys, tests.judge; print({name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=True, timeout=60
    ).stdout
    for stranger in ("torch", "diffusers", "drawing", "models", "function", "events"):
        assert f"'{stranger}'" not in loaded
