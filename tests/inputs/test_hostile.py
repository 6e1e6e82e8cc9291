"""Strangers' files: what is no picture is refused in a sentence, in little memory, and what is one is read."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from diffusers.utils import load_image
from PIL import Image

from function.render.sources import picture
from tests.inputs.hostile import hostile
from tests.inputs.hostile import picture as harmless
from tests.inputs.measured import MOST_KIB, rows_of


def test_a_hundred_hostile_files_are_refused_in_a_sentence_and_in_little_memory() -> None:
    expected = {name: sentence for name, _, sentence in hostile()}
    rows = rows_of("-m", "tests.inputs.measure", seconds=300)
    assert [name for name, _, _ in rows] == list(expected)
    assert len(expected) >= 100
    assert {name: said for name, said, _ in rows if expected[name] not in str(said)} == {}
    assert [said for _, said, _ in rows if "\n" in said or len(said) > 120] == []
    assert {name: grown for name, _, grown in rows if grown > MOST_KIB} == {}
    print(f"{len(rows)} files, at most {max(grown for *_, grown in rows) / 1024:.0f} MiB")


@pytest.mark.parametrize(
    ("format", "mode"),
    [("PNG", mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA")]
    + [("JPEG", mode) for mode in ("L", "RGB", "CMYK")]
    + [("WEBP", mode) for mode in ("L", "RGB", "RGBA")],
)
def test_a_picture_is_read_as_diffusers_reads_it(format: str, mode: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    Image.radial_gradient("L").resize((64, 48)).convert("RGB").convert(mode).save(file, format)
    ours, theirs = picture(file.read_bytes()), load_image(str(file))
    assert ours.mode == "RGB"
    assert np.array_equal(np.asarray(ours), np.asarray(theirs))


def test_a_photo_that_lies_on_its_side_is_turned() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = picture(harmless("JPEG", 64, 48, exif=exif))
    assert turned.size == (48, 64)


@pytest.mark.parametrize(("format", "options"), [("JPEG", {"progressive": True}), ("WEBP", {"lossless": True})])
def test_other_kinds_of_the_same_format_are_read(format: str, options: dict[str, Any]) -> None:
    assert picture(harmless(format, **options)).size == (64, 48)


def test_a_picture_of_the_largest_size_is_read() -> None:
    for size in ((2048, 2048), (4096, 1024)):
        file = io.BytesIO()
        Image.new("RGB", size).save(file, "PNG")
        assert picture(file.getvalue()).size == size
