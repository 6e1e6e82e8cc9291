"""How a UNet attends: torch's own way, or xFormers'."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from function.render.weights import ModelUnavailable

if TYPE_CHECKING:
    import torch

Attention = Literal["sdpa", "xformers"]


def check_attention(attention: Attention, device: torch.device) -> None:
    """Raise `ModelUnavailable` where that cannot be had."""
    if attention == "sdpa":
        return
    import torch

    leave = "or leave the setting out: torch's own attention is about as fast"
    install = "install '.[xformers]' from a checkout of Darkroom into an environment of its own"
    try:
        library = import_module("xformers._cpp_lib")
    except ImportError:
        raise ModelUnavailable(f"DARKROOM_ATTENTION is xformers, which is not installed: {install}, {leave}") from None
    if device.type != "cuda":
        raise ModelUnavailable(f"DARKROOM_ATTENTION is xformers, which works on a GPU only: choose one, {leave}")
    # Without them it has torch attend, and says that in a log alone.
    if not library._built_with_cuda:  # noqa: SLF001  # what `python -m xformers.info` says; there is no other name
        raise ModelUnavailable(
            "DARKROOM_ATTENTION is xformers, whose CUDA operators do not load beside "
            f"torch {torch.__version__}: {install}, {leave}"
        )


def attend(unet: Any, attention: Attention) -> None:
    """Have every layer of `unet` attend so."""
    if attention == "xformers":
        from diffusers.models.attention_processor import XFormersAttnProcessor

        # By hand, since in SDXL's UNet diffusers' `set_attention_backend` changes nothing and does not say so, and its
        # `enable_xformers_memory_efficient_attention` of a pipeline changes the VAE, too: heads too wide for xFormers.
        unet.set_attn_processor(XFormersAttnProcessor())
