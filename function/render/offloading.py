"""Models larger than the device: what is drawn with is brought onto it as it is used, by the part or by the layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from accelerate import cpu_offload
from accelerate.hooks import ModelHook, add_hook_to_module, remove_hook_from_module
from accelerate.utils import send_to_device
from torch.nn import Module


class OneAtATime(ModelHook):  # type: ignore[misc]  # untyped
    """Brings a part onto the device when it is used, once that of before has left it.

    Of diffusers' own way each pipeline would have to be told, while ours come and go around the same parts.
    """

    def __init__(self, device: torch.device) -> None:
        # Where pipelines find the device to make latents on.
        self.execution_device = device
        self._there: Module | None = None

    def pre_forward(self, module: Module, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        if self._there is not module:
            if self._there is not None:
                Module.to(self._there, "cpu")
            self._there = module
            Module.to(module, self.execution_device)
        return send_to_device(args, self.execution_device), send_to_device(kwargs, self.execution_device)


def by_part(parts: Sequence[Module], device: torch.device) -> None:
    """Have at most one of `parts` on the device from now on."""
    hook = OneAtATime(device)
    for part in parts:
        Module.to(part, "cpu")
        add_hook_to_module(part, hook)


def by_layer(parts: Sequence[Module], device: torch.device) -> None:
    """Have at most one layer of `parts` on the device from now on: for good, since the layers are taken apart."""
    for part in parts:
        # What a part holds itself, outside of its layers, is used without being called.
        cpu_offload(part, device, offload_buffers=bool(part._parameters))  # noqa: SLF001  # as diffusers does


def whole(parts: Sequence[Module], device: torch.device) -> None:
    """Have all `parts` on the device for good, after `by_part`."""
    for part in parts:
        remove_hook_from_module(part)
        Module.to(part, device)
