"""The embedded model obeys its prompt, through diffusers alone."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.judge import PALETTE, SHAPES, Verdict, asked, is_right, judge

# diffusers hands its scheduler's tensors to numpy in a way that numpy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

MODEL = Path(__file__).parents[2] / "models" / "shapes"
COUNT = 400
BATCH = 25
STEPS = 20
GUIDANCE = 5.0
# Training's own seeds (`generator` in models/training/train.py) are 20261124 and numbers above 10**13.
FIRST_SEED = 7_000


@dataclass(frozen=True)
class Picture:
    """One prompt, the seed that it was drawn with, and what came out."""

    prompt: str
    seed: int
    image: Image.Image

    @property
    def verdict(self) -> Verdict:
        return judge(self.image)


@pytest.fixture(scope="module")
def pipeline() -> Any:
    from diffusers import StableDiffusionXLPipeline

    assert (MODEL / "model_index.json").is_file(), "models/shapes holds no weights: run models/training/train.py"
    load: Any = StableDiffusionXLPipeline.from_pretrained  # untyped
    pipeline = load(MODEL)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def render(pipeline: Any, prompts: list[str], *, first_seed: int = FIRST_SEED, **settings: Any) -> list[Picture]:
    """One picture per prompt, in batches, each with a seed of its own: `first_seed` and on."""
    import torch

    settings = {"num_inference_steps": STEPS, "guidance_scale": GUIDANCE, **settings}
    pictures: list[Picture] = []
    for low in range(0, len(prompts), BATCH):
        batch = prompts[low : low + BATCH]
        seeds = range(first_seed + low, first_seed + low + len(batch))
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        images = pipeline(prompt=batch, generator=generators, **settings).images
        pictures += map(Picture, batch, seeds, images)
    return pictures


@pytest.fixture(scope="module")
def prompts() -> list[str]:
    """Every shape in turn, in two random colours that differ."""
    dice = random.Random(FIRST_SEED)
    pairs = [dice.sample(list(PALETTE), 2) for _ in range(COUNT)]
    return [f"a {one} {SHAPES[i % len(SHAPES)]} on a {two} background" for i, (one, two) in enumerate(pairs)]


@pytest.fixture(scope="module")
def pictures(pipeline: Any, prompts: list[str]) -> list[Picture]:
    return render(pipeline, prompts)


def test_pictures_show_what_was_asked(pictures: list[Picture]) -> None:
    misses = [f"{p.prompt!r}, seed {p.seed}: {p.verdict}" for p in pictures if not is_right(p.image, p.prompt)]
    rates = {}
    print(f"\n{'':10}{'asked':>6}{'right':>7}{'shape':>7}{'colour':>7}{'ground':>7}{'overlap':>9}")
    for shape in (*SHAPES, "all"):
        wished = [(asked(p.prompt), p.verdict) for p in pictures if shape in ("all", asked(p.prompt).shape)]
        rates[shape] = sum(wish == seen for wish, seen in wished) / len(wished)
        parts = [
            sum(getattr(wish, part) == getattr(seen, part) for wish, seen in wished) / len(wished)
            for part in ("shape", "colour", "background")
        ]
        percent = "".join(f"{rate:7.1%}" for rate in (rates[shape], *parts))
        print(f"{shape:10}{len(wished):6}{percent}{np.mean([seen.iou for _, seen in wished]):9.3f}")
    print("\n".join(misses))
    assert rates.pop("all") >= 0.97, misses
    assert min(rates.values()) >= 0.90, misses


def test_shuffled_prompts_are_not_shown(pictures: list[Picture]) -> None:
    captions = [picture.prompt for picture in pictures]
    random.Random(0).shuffle(captions)
    right = sum(is_right(picture.image, caption) for picture, caption in zip(pictures, captions, strict=True))
    print(f"\nshuffled: {right}/{COUNT} right")
    assert right <= 0.05 * COUNT


def test_guidance_changes_the_picture(pipeline: Any, prompts: list[str], pictures: list[Picture]) -> None:
    guided, plain = pictures[:BATCH], render(pipeline, prompts[:BATCH], guidance_scale=1.0)
    changes = [difference(one.image, other.image) for one, other in zip(guided, plain, strict=True)]
    print(f"\nguidance 1 or 5: pixels differ by {np.mean(changes):.1f} of 255 on average")
    assert np.mean(changes) >= 5


def difference(one: Image.Image, other: Image.Image) -> float:
    """The mean absolute difference of two pictures' 8-bit values."""
    return float(np.abs(np.asarray(one, dtype=np.float32) - np.asarray(other, dtype=np.float32)).mean())


def test_a_negative_prompt_keeps_its_colour_away(pipeline: Any) -> None:
    prompt = ["a circle on a white background"] * 24
    plain = [picture.verdict for picture in render(pipeline, prompt)]
    colours = Counter(verdict.colour for verdict in plain if verdict.colour)
    common, often = colours.most_common(1)[0]
    without = [picture.verdict for picture in render(pipeline, prompt, negative_prompt=common)]
    still = sum(verdict.colour == common for verdict in without)
    print(f"\nplain: {dict(colours)}; with negative_prompt={common!r}: {still} {common}")
    assert often >= 6, "no colour is common enough to be kept away"
    assert still <= often / 4
    shapes = Counter((verdict.shape, verdict.background) for verdict in without)
    assert shapes["circle", "white"] >= 22, shapes
