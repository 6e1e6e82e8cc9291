"""LoRAs: put on and taken off by diffusers; what is off adds nothing, to the last bit."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from events.prompt.adapters import Lora
from function.render.adapters.files import Misfit, tensor_names

if TYPE_CHECKING:
    from diffusers import StableDiffusionXLPipeline

_PARTS: Final = ("unet", "text_encoder", "text_encoder_2")


def load(base: StableDiffusionXLPipeline, name: str, path: Path) -> None:
    """Put a LoRA beside the model's weights, switched off; `Misfit` if not all of it is for this model."""
    base.load_lora_weights(
        str(path.parent), weight_name=path.name, adapter_name=_called(name), use_safetensors=True, local_files_only=True
    )
    _switch(base, on=())
    in_file = sum(not tensor.endswith(".alpha") for tensor in tensor_names(path))
    weights = (weight for part in _PARTS for weight, _ in getattr(base, part).named_parameters())
    taken = sum(f".{_called(name)}." in weight for weight in weights)
    if taken != in_file:
        # diffusers would only warn.
        raise Misfit(f"the model takes {taken or 'none'} of its {in_file} tensors")


def drop(base: StableDiffusionXLPipeline, name: str) -> None:
    """Take it away, whole or what there is of it."""
    with warnings.catch_warnings():
        # It becomes another's turn to be the active one, which is switched off as well.
        warnings.filterwarnings("ignore", "Adapter .* was active which is now deleted", UserWarning)
        base.delete_adapters([_called(name)])


@contextmanager
def worn(base: StableDiffusionXLPipeline, asked: Sequence[Lora]) -> Iterator[None]:
    """Switch on these, which are loaded, in this order, and no others."""
    if not asked:
        yield
        return
    scales = [_scales(base, one) for one in asked]
    try:
        base.set_adapters([_called(one.name) for one in asked], scales)
        _switch(base, on={part for scale in scales for part in scale})
        yield
    finally:
        _switch(base, on=())


@contextmanager
def without(base: StableDiffusionXLPipeline, asked: Sequence[Lora]) -> Iterator[None]:
    """Switch off these, which are on, for a while."""
    _switch(base, on=())
    try:
        yield
    finally:
        _switch(base, on={part for one in asked for part in _scales(base, one)})


def _called(name: str) -> str:
    # It becomes the name of a module, which has no dots, and must be no part of the word "lora_".
    return name.encode().hex()


def _parts_of(base: StableDiffusionXLPipeline, name: str) -> list[str]:
    return [part for part, names in base.get_list_adapters().items() if _called(name) in names]


def _scales(base: StableDiffusionXLPipeline, asked: Lora) -> dict[str, float]:
    beside = asked.scale if asked.text_encoder_scale is None else asked.text_encoder_scale
    return {part: asked.scale if part == "unet" else beside for part in _parts_of(base, asked.name)}


def _switch(base: StableDiffusionXLPipeline, *, on: Collection[str]) -> None:
    """Let LoRAs have an effect in these parts, and in no other."""
    # diffusers' own disable_lora() fails where a LoRA changes the text encoders alone.
    from peft.tuners.tuners_utils import BaseTunerLayer

    for part in _PARTS:
        model = getattr(base, part)
        for module in model.modules():
            if isinstance(module, BaseTunerLayer):
                module.enable_adapters(part in on)
        # Peft keeps the model's weights from learning, with which a CPU computes otherwise in the last digit. So that
        # what is drawn without a LoRA is what it was before there was one, they can learn again.
        for name, weight in model.named_parameters():
            if "lora_" not in name:
                weight.requires_grad_(part not in on)
