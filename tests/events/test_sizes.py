"""Sizes in one word, and the shapes that SDXL was trained on."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.prompt import validate
from events.prompt.sizes import BUCKETS, bucket, ratio_of
from tests.events.faults import faults_of


@pytest.mark.parametrize(
    ("ratio", "sides"),
    [
        ("1:1", (1024, 1024)),
        ("16:9", (1344, 768)),
        ("9:16", (768, 1344)),
        ("3:2", (1216, 832)),
        ("4:3", (1152, 896)),
        ("2.39:1", (1536, 640)),
        ("4:1", (2048, 512)),
        ("1:4", (512, 2048)),
        ("1920:1080", (1344, 768)),
    ],
)
def test_a_ratio_is_the_nearest_shape(ratio: str, sides: tuple[int, int]) -> None:
    assert bucket(ratio_of(ratio)) == sides


def test_every_shape_lies_in_both_ways_and_has_the_area_that_was_trained() -> None:
    assert len(set(BUCKETS)) == len(BUCKETS) == 41
    assert {(height, width) for width, height in BUCKETS} == set(BUCKETS)
    assert all(0.9 < width * height / 1024**2 <= 1.01 for width, height in BUCKETS)


@given(st.floats(0.25, 4), st.sampled_from([128, 512, 768, 1024]))
def test_a_smaller_model_draws_the_same_shapes(ratio: float, native: int) -> None:
    width, height = bucket(ratio, native)
    assert width % 8 == height % 8 == 0
    assert min(width, height) >= 64
    large_width, large_height = bucket(ratio)
    assert width / height == pytest.approx(large_width / large_height, rel=0.05)


@pytest.mark.parametrize("size", ["64x64", "2048x2048", "1024x768"])
def test_a_size_is_accepted(size: str) -> None:
    assert validate({"prompt": "a", "size": size}).size == size


SIZE = "must be a width and a height such as 1024x768, each a multiple of 8 from 64 to 2048"
RATIO = "must be a width and a height such as 16:9, from 1:4 to 4:1"


@pytest.mark.parametrize(
    "size", ["", "1024", "1024X768", "1024 x 768", "65x64", "56x64", "64x2056", "0x0", "99999x64", "auto", "\u0661x64"]
)
def test_what_is_no_size_is_refused(size: str) -> None:
    assert faults_of({"prompt": "a", "size": size}) == {"size": SIZE}


@pytest.mark.parametrize(
    "ratio", ["", "16", "16/9", "0:1", "1:0", "0:0", "5:1", "1:4.1", "-1:1", "1e3:1e3", "1:1:1", "99999:99999", "nan:1"]
)
def test_what_is_no_ratio_is_refused(ratio: str) -> None:
    assert faults_of({"prompt": "a", "aspect_ratio": ratio}) == {"aspect_ratio": RATIO}


@pytest.mark.parametrize(
    ("fields", "where", "others"),
    [
        ({"width": 64, "size": "64x64"}, "size", "width"),
        ({"width": 64, "height": 64, "size": "64x64"}, "size", "width and height"),
        ({"height": 64, "aspect_ratio": "1:1"}, "aspect_ratio", "height"),
        ({"size": "64x64", "aspect_ratio": "1:1"}, "aspect_ratio", "size"),
    ],
    ids=str,
)
def test_a_size_is_said_once(fields: dict[str, Any], where: str, others: str) -> None:
    message = f"is said by {others}, too; give width and height, size, or aspect_ratio"
    assert faults_of({"prompt": "a"} | fields) == {where: message}
    left_out: dict[str, Any] = dict.fromkeys(fields)
    assert validate({"prompt": "a", **left_out, where: fields[where]}).model_dump()[where] == fields[where]
