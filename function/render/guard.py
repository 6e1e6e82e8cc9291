"""From latents to a picture that is one: what half precision spoils is decoded again in full."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import structlog

from function.errors import NoPicture

if TYPE_CHECKING:
    import torch
    from diffusers import AutoencoderKL

# What is below this rounds to the byte 0; a decoder's white is 1 and its black -1.
BLACK: Final = 1 / 255 - 1

log = structlog.get_logger()


def check(latents: torch.Tensor) -> None:
    """Raise `NoPicture` for latents that no decoder can help; on a GPU, this waits until they are drawn."""
    if not latents.isfinite().all():
        raise NoPicture(f"the model's UNet gave NaN instead of a picture in {latents.dtype}; choose another dtype")


def decode(vae: AutoencoderKL, latents: torch.Tensor) -> tuple[torch.Tensor, bool]:
    """Decode as the pipeline itself would; where that gives black or NaN, once more in float32; and whether it did.

    `NoPicture` where float32 gives NaN too.
    """
    import torch

    upcast = vae.dtype == torch.float16 and vae.config["force_upcast"]
    decoded = _decoded(vae, latents, torch.float32 if upcast else vae.dtype)
    spoilt = decoded.dtype != torch.float32 and not (decoded.isfinite().all() and decoded.max() >= BLACK)
    if spoilt:
        log.warning("picture.decoded_again", reason="black or NaN", dtype=str(decoded.dtype))
        decoded = _decoded(vae, latents, torch.float32)
    if not decoded.isfinite().all():
        raise NoPicture(f"the model's VAE gave NaN instead of a picture in {decoded.dtype}; choose another VAE")
    return decoded, bool(spoilt)


def _decoded(vae: AutoencoderKL, latents: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    from torch.nn import Module

    stored = vae.dtype
    try:
        # Not the VAE's own `to`, which warns each time of modules to keep in float32 and names none.
        Module.to(vae, dtype)
        decoded: torch.Tensor = vae.decode(_unscaled(vae.config, latents.to(dtype)), return_dict=False)[0]
    finally:
        Module.to(vae, stored)
    return decoded


def _unscaled(config: Mapping[str, Any], latents: torch.Tensor) -> torch.Tensor:
    scale: float = config["scaling_factor"]
    mean, deviation = config.get("latents_mean"), config.get("latents_std")
    if mean is None or deviation is None:
        return latents / scale
    shape = (1, -1, 1, 1)
    return latents * latents.new_tensor(deviation).view(shape) / scale + latents.new_tensor(mean).view(shape)
