"""Of one picture there are as many files as were asked for, each decoded and compared with what was drawn."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from events.prompt import Output, faults_of, validate
from events.prompt.delivery import MOST_FILES, MOST_OUTPUTS, USUAL_QUALITY
from function.finish import File
from tests.finish.pictures import FORMATS, finished, ramp


def decoded(file: File) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(file.body)) as picture:
        assert picture.get_format_mimetype() == file.content_type
        assert picture.size == (file.width, file.height)
        assert picture.mode == "RGB"
        return np.asarray(picture)


def far(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """How far two pictures are from each other, as a mean over all values, of 255."""
    return float(np.abs(one.astype(int) - other).mean())


def test_each_format_is_the_picture_that_was_drawn() -> None:
    pixels = ramp()
    made = finished(pixels=pixels)
    assert [file.suffix for file in made.files] == ["png", "jpg", "webp", "avif"]
    assert made.pixels_sha256 == hashlib.sha256(pixels.tobytes()).hexdigest()
    first, *others = map(decoded, made.files)
    assert np.array_equal(first, pixels)
    for other in others:
        assert 0 < far(other, pixels) < 2


def test_the_picture_of_a_png_has_the_sha256_that_was_told() -> None:
    (file,) = finished(Output(format="png")).files
    assert hashlib.sha256(decoded(file).tobytes()).hexdigest() == finished().pixels_sha256


@pytest.mark.parametrize("format", ["jpeg", "webp", "avif"])
def test_quality_is_worth_its_bytes(format: Any) -> None:
    noisy = np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8) // 4 + ramp() // 2
    files = finished(*(Output(format=format, quality=quality) for quality in (10, 60, 100)), pixels=noisy).files
    sizes = [len(file.body) for file in files]
    assert sizes == sorted(set(sizes))
    distances = [far(decoded(file), noisy) for file in files]
    assert distances == sorted(set(distances), reverse=True)


@pytest.mark.parametrize("format", ["jpeg", "webp", "avif"])
def test_the_quality_that_is_left_out_is_the_usual_one(format: Any) -> None:
    (given_,) = validate({"prompt": "a", "outputs": [{"format": format}]}).outputs
    assert given_ == Output(format=format, quality=USUAL_QUALITY[format])


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 200), st.integers(1, 200), st.integers(16, 200), st.sampled_from(FORMATS))
def test_no_side_is_longer_than_asked_and_the_shape_stays(height: int, width: int, side: int, format: Any) -> None:
    pixels = np.full((height, width, 3), (200, 100, 50), np.uint8)
    (file,) = finished(Output(format=format, max_side=side), pixels=pixels).files
    small = decoded(file)
    longest = max(height, width)
    if longest <= side:
        assert (file.width, file.height) == (width, height), "never larger"
    else:
        assert max(file.width, file.height) == side
        assert abs(file.width / width - side / longest) <= 0.5 / width or file.width == 1
        assert abs(file.height / height - side / longest) <= 0.5 / height or file.height == 1
    assert np.abs(small.astype(int) - (200, 100, 50)).max() < 10


def test_a_smaller_picture_shows_the_same() -> None:
    (small,) = finished(Output(format="png", max_side=32)).files
    assert (small.width, small.height) == (32, 24)
    assert far(decoded(small), ramp(24, 32)) < 3


@pytest.mark.parametrize(
    ("prompt", "fault"),
    [
        ({"outputs": []}, "outputs"),
        ({"outputs": [{}] * (MOST_OUTPUTS + 1)}, "outputs"),
        ({"outputs": [{}, {"format": "gif"}]}, "outputs.1.format"),
        ({"outputs": [{"quality": 90}]}, "outputs.0.quality"),
        ({"outputs": [{"format": "webp", "quality": 0}]}, "outputs.0.quality"),
        ({"outputs": [{"format": "webp", "quality": 101}]}, "outputs.0.quality"),
        ({"outputs": [{"max_side": 15}]}, "outputs.0.max_side"),
        ({"outputs": [{"size": 15}]}, "outputs.0.size"),
        ({"outputs": ["webp"]}, "outputs.0"),
        ({"outputs": [{}] * 3, "num_images": MOST_FILES // 3 + 1}, ""),
        *(
            ({"destination": {"prefix": prefix}}, "destination.prefix")
            for prefix in (
                "",
                "/",
                "a/",
                "/a",
                "..",
                "a/../b",
                "a/..",
                "./a",
                "a//b",
                "a b",
                "ä",
                "a\n",
                "a\\b",
                "a%2e",
            )
        ),
        ({"destination": {"prefix": "a" * 65}}, "destination.prefix"),
        ({"destination": "a"}, "destination"),
    ],
)
def test_what_cannot_be_delivered_is_a_fault(prompt: dict[str, Any], fault: str) -> None:
    assert [found.where for found in faults_of({"prompt": "a"} | prompt)] == [fault]


def test_as_many_files_as_an_outcome_can_name() -> None:
    for count in range(1, MOST_OUTPUTS + 1):
        assert faults_of({"prompt": "a", "outputs": [{}] * count, "num_images": MOST_FILES // count}) == ()
