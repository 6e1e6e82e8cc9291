"""What leaves the renderer is a correct PNG with exactly the pixels that diffusers would have made."""

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
import torch
from diffusers.image_processor import VaeImageProcessor
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from function.render.encode import pixels_of, png

ROOT = Path(__file__).parents[2]
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
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
        "import sys, numpy; from function.render.encode import png; assert 'diffusers' not in sys.modules;"
        "pixels = numpy.frombuffer(sys.stdin.buffer.read(), numpy.uint8).reshape(300, 200, 3);"
        "sys.stdout.buffer.write(png(pixels, {'prompt': 'é'}))"
    )
    other = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, input=pixels.tobytes(), capture_output=True, check=False
    )
    assert other.returncode == 0, other.stderr.decode()
    mirrored = np.asfortranarray(pixels)
    assert png(pixels, {"prompt": "é"}) == png(mirrored, {"prompt": "é"}) == other.stdout


def by_diffusers(decoded: torch.Tensor) -> NDArray[np.uint8]:
    pictures = VaeImageProcessor().postprocess(decoded, output_type="pil")
    return np.stack([np.asarray(picture) for picture in pictures])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", DTYPES)
@unhurried
@given(
    size=st.tuples(st.integers(1, 3), SIZES, SIZES), seed=st.integers(0, 2**32), spread=st.sampled_from([0.3, 1, 50])
)
def test_random_tensors_become_the_bytes_of_diffusers(
    dtype: torch.dtype, device: str, size: tuple[int, int, int], seed: int, spread: float
) -> None:
    count, height, width = size
    random = torch.Generator().manual_seed(seed)
    decoded = (torch.randn((count, 3, height, width), generator=random) * spread).to(device, dtype)
    before = decoded.clone()
    pixels = pixels_of(decoded)
    assert pixels.dtype == np.uint8
    assert pixels.shape == (count, height, width, 3)
    assert np.array_equal(pixels, by_diffusers(decoded))
    assert torch.equal(decoded, before)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_every_half_precision_value_becomes_the_byte_of_diffusers(dtype: torch.dtype, device: str) -> None:
    every = torch.arange(-(2**15), 2**15, dtype=torch.int16).view(dtype)
    numbers = every[~every.isnan()]
    decoded = numbers.repeat(3).reshape(1, 3, 1, -1).to(device)
    assert np.array_equal(pixels_of(decoded), by_diffusers(decoded))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_around_every_rounding_step_become_the_byte_of_diffusers(dtype: torch.dtype, device: str) -> None:
    steps = (torch.arange(-2, 514, dtype=torch.float64) / 510 * 2 - 1).to(torch.float32)
    around = (steps.view(torch.int32)[:, None] + torch.arange(-8, 9)).to(torch.int32).view(torch.float32)
    around = around[~around.isnan()]  # below zero's bits are those of NaN
    extremes = torch.tensor([torch.inf, -torch.inf, 3e38, -3e38, 1e-45, -0.0])
    decoded = torch.cat([around, extremes]).repeat(3).reshape(1, 3, 1, -1).to(device, dtype)
    assert np.array_equal(pixels_of(decoded), by_diffusers(decoded))


def test_channels_last_is_taken_as_it_is() -> None:
    decoded = torch.randn((2, 3, 9, 7)).to(memory_format=torch.channels_last)
    assert np.array_equal(pixels_of(decoded), by_diffusers(decoded))
