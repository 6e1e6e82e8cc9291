"""ControlNets: models beside the model, which have a say in its every step."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from events.prompt.adapters import ControlNet
from function.render.adapters.files import Misfit, variant_of

if TYPE_CHECKING:
    from diffusers import ControlNetModel, StableDiffusionXLPipeline

# What both must have in common for the one to speak to the other.
_COMMON: Final = (
    *("block_out_channels", "layers_per_block", "cross_attention_dim"),
    *("addition_time_embed_dim", "projection_class_embeddings_input_dim"),
)


def arguments(asked: Sequence[ControlNet]) -> dict[str, Any]:
    """What a pipeline with these is called with, beside their pictures."""
    return {
        "controlnet_conditioning_scale": [one.scale for one in asked],
        "control_guidance_start": [one.start for one in asked],
        "control_guidance_end": [one.end for one in asked],
    }


def load(base: StableDiffusionXLPipeline, path: Path) -> ControlNetModel:
    """The ControlNet, where the model is drawn with; `Misfit` if it is for another model."""
    from diffusers import ControlNetModel

    net = ControlNetModel.from_pretrained(
        path.parent,
        variant=variant_of(path, "controlnet"),
        dtype=base.dtype,
        use_safetensors=True,
        local_files_only=True,
    )
    for name in _COMMON:
        if _plain(net.config[name]) != _plain(base.unet.config[name]):
            raise Misfit(f"its {name} is not this model's")
    return net.to(base._execution_device)  # noqa: SLF001  # the model itself may lie elsewhere until it is used


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
