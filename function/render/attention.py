"""How a UNet attends: torch's own way, or xFormers'."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

from function.render.weights import ModelUnavailable

if TYPE_CHECKING:
    import torch

Attention = Literal["sdpa", "xformers"]


def check_attention(attention: Attention, device: torch.device) -> None:
    """Raise `ModelUnavailable` where that cannot be had."""
    if attention == "sdpa":
        return
    leave = "or leave the setting out: torch's own attention is about as fast"
    if find_spec("xformers") is None:
        raise ModelUnavailable(
            "DARKROOM_ATTENTION is xformers, which is not installed: "
            f"install Darkroom with its extra [xformers], {leave}"
        )
    if device.type != "cuda":
        raise ModelUnavailable(f"DARKROOM_ATTENTION is xformers, which works on a GPU only: choose one, {leave}")


def attend(unet: Any, attention: Attention) -> None:
    """Have every layer of `unet` attend so."""
    if attention == "xformers":
        from diffusers.models.attention_processor import XFormersAttnProcessor

        # By hand, since in SDXL's UNet diffusers' `set_attention_backend` changes nothing and does not say so, and its
        # `enable_xformers_memory_efficient_attention` of a pipeline changes the VAE, too: heads too wide for xFormers.
        unet.set_attn_processor(XFormersAttnProcessor())
