"""What leaves the renderer is exactly the pixels that diffusers would have made."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from diffusers.image_processor import VaeImageProcessor
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from function.render.pixels import pixels_of

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
SIZES = st.one_of(st.just(1), st.integers(1, 70))

unhurried = settings(deadline=None)  # a loaded machine is no fault


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
