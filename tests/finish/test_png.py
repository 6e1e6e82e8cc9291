"""A PNG is correct to the last byte, and holds exactly the pixels that it was made of."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from function.finish.png import png

ROOT = Path(__file__).parents[2]
SIZES = st.one_of(st.just(1), st.integers(1, 70))

unhurried = settings(deadline=None)  # a loaded machine is no fault

pictures = st.tuples(SIZES, SIZES).flatmap(
    lambda size: st.one_of(
        npst.arrays(np.uint8, (*size, 3)),
        st.integers(0, 2**32 - 1).map(
            lambda seed: np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
        ),
    )
)
keywords = st.from_regex(r"[!-~¡-ÿ]{1,30}( [!-~¡-ÿ]{1,30})?", fullmatch=True)
texts = st.dictionaries(
    keywords, st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), max_size=4
)


def opened(file: bytes) -> PngImagePlugin.PngImageFile:
    image = Image.open(io.BytesIO(file))
    assert isinstance(image, PngImagePlugin.PngImageFile)
    image.load()
    return image


def chunks(file: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and body of each chunk, read as PNG (third edition, 5) describes them and with every CRC checked."""
    assert file[:8] == b"\x89PNG\r\n\x1a\n"
    place = 8
    while place < len(file):
        length, kind = struct.unpack_from(">I4s", file, place)
        body = file[place + 8 : place + 8 + length]
        assert len(body) == length, f"{kind!r} is cut off"
        assert struct.unpack_from(">I", file, place + 8 + length)[0] == zlib.crc32(kind + body), f"CRC of {kind!r}"
        yield kind, body
        place += 12 + length


@unhurried
@given(pictures)
def test_pillow_decodes_the_same_pixels(pixels: NDArray[np.uint8]) -> None:
    image = opened(png(pixels))
    assert (image.mode, image.size) == ("RGB", (pixels.shape[1], pixels.shape[0]))
    assert np.array_equal(np.asarray(image), pixels)


@unhurried
@given(pictures, texts)
def test_every_chunk_is_right(pixels: NDArray[np.uint8], said: Mapping[str, str]) -> None:
    height, width, _ = pixels.shape
    kinds, bodies = zip(*chunks(png(pixels, said)), strict=True)
    assert kinds == (b"IHDR", b"sRGB", *[b"iTXt"] * len(said), b"IDAT", b"IEND")
    assert struct.unpack(">IIBBBBB", bodies[0]) == (width, height, 8, 2, 0, 0, 0)
    # Read in small parts, so that zlib refuses a distance beyond the window that the stream's own header states.
    inflate, rest, lines = zlib.decompressobj(wbits=8 + (bodies[-2][0] >> 4)), bodies[-2], b""
    while not inflate.eof:
        lines += inflate.decompress(rest, 64)
        rest = inflate.unconsumed_tail
    assert (inflate.unused_data, len(lines)) == (b"", height * (1 + 3 * width))
    assert bodies[-1] == b""


@unhurried
@given(texts)
def test_pillow_reads_every_text_back(said: Mapping[str, str]) -> None:
    assert opened(png(np.zeros((3, 5, 3), np.uint8), said)).text == said


def test_a_long_text_of_many_scripts_comes_back() -> None:
    said = {"Description": "a red star, ein Stern, 赤い星, نجم, ⭐\n" * 20_000, "Größe": "é"}
    assert opened(png(np.zeros((1, 1, 3), np.uint8), said)).text == said


@pytest.mark.parametrize("keyword", ["", "k" * 80, " k", "k ", "a  b", "a\nb", "a\0b", "a\u00a0b", "星"])
def test_a_keyword_that_png_forbids_is_refused(keyword: str) -> None:
    with pytest.raises(ValueError, match="a PNG keyword is 1 to 79"):
        png(np.zeros((1, 1, 3), np.uint8), {keyword: "text"})


def test_a_text_that_would_end_early_is_refused() -> None:
    with pytest.raises(ValueError, match="'prompt' contains a NUL"):
        png(np.zeros((1, 1, 3), np.uint8), {"prompt": "a\0b"})


@pytest.mark.parametrize("pixels", [np.zeros((2, 2)), np.zeros((2, 2, 4), np.uint8), np.zeros((0, 2, 3), np.uint8)])
def test_what_is_no_rgb_picture_is_refused(pixels: NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match="a PNG needs uint8 pixels"):
        png(pixels)


def test_another_process_makes_the_same_bytes_and_loads_no_diffusers() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (300, 200, 3), dtype=np.uint8)
    program = (
        "import sys, numpy; from function.finish.png import png; assert 'diffusers' not in sys.modules;"
        "pixels = numpy.frombuffer(sys.stdin.buffer.read(), numpy.uint8).reshape(300, 200, 3);"
        "sys.stdout.buffer.write(png(pixels, {'prompt': 'é'}))"
    )
    other = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, input=pixels.tobytes(), capture_output=True, check=False
    )
    assert other.returncode == 0, other.stderr.decode()
    mirrored = np.asfortranarray(pixels)
    assert png(pixels, {"prompt": "é"}) == png(mirrored, {"prompt": "é"}) == other.stdout
