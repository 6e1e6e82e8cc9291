"""What half precision spoils is decoded again; what cannot be saved is no picture."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL
from structlog.testing import capture_logs

from function.errors import NoPicture
from function.render.guard import check, decode


@pytest.fixture
def vae(untrained: Path) -> AutoencoderKL:
    return AutoencoderKL.from_pretrained(untrained / "vae", dtype=torch.float16)


def latents(*, dtype: torch.dtype = torch.float16) -> torch.Tensor:
    return torch.randn(1, 4, 2, 2, generator=torch.Generator().manual_seed(0)).to(dtype)


@torch.inference_mode()
def test_a_sound_picture_is_decoded_once_in_its_own_precision(vae: AutoencoderKL) -> None:
    with capture_logs() as logs:
        decoded, again = decode(vae, latents())
    assert decoded.dtype == torch.float16
    assert not again
    assert logs == []


@torch.inference_mode()
def test_an_overflow_in_float16_is_decoded_again_in_float32(vae: AutoencoderKL) -> None:
    vae.decoder.conv_in.weight.mul_(50_000)  # within float16, but not what comes out of it
    scaled = latents() / vae.config.scaling_factor
    assert vae.decode(scaled).sample.isnan().any(), "float16 bears this: the test would show nothing"

    with capture_logs() as logs:
        decoded, again = decode(vae, latents())

    assert decoded.dtype == torch.float32
    assert again
    assert decoded.isfinite().all()
    assert decoded.std() > 0.01
    assert [line["log_level"] for line in logs] == ["warning"]
    assert vae.dtype == torch.float16, "the VAE stays as it was"


@torch.inference_mode()
def test_a_black_picture_is_decoded_again(vae: AutoencoderKL) -> None:
    vae.decoder.conv_out.bias.fill_(-60_000)
    with capture_logs() as logs:
        decoded, again = decode(vae, latents())
    assert decoded.dtype == torch.float32
    assert again
    assert decoded.max() < -1, "a picture that is black in truth stays black"
    assert len(logs) == 1


@torch.inference_mode()
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_what_float32_cannot_decode_is_no_picture(vae: AutoencoderKL, dtype: torch.dtype) -> None:
    vae.to(dtype=dtype)
    vae.decoder.conv_out.bias.fill_(torch.nan)
    with pytest.raises(NoPicture, match=r"the model's VAE gave NaN instead of a picture in torch\.float32"):
        decode(vae, latents(dtype=dtype))
    assert vae.dtype == dtype


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_one_bad_number_among_the_latents_is_no_picture(bad: float) -> None:
    drawn = latents()
    check(drawn)
    drawn[0, 3, 1, 1] = bad
    with pytest.raises(NoPicture, match=r"UNet gave NaN .* in torch\.float16"):
        check(drawn)
