"""What draws: the versions of the libraries, and the device."""

from __future__ import annotations

import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Final

from function import __version__

if TYPE_CHECKING:
    import torch

# Another version of one of these may draw other pixels for the same prompt.
_LIBRARIES: Final = ("accelerate", "diffusers", "peft", "pillow", "torch", "transformers", "xformers")


@cache
def software() -> dict[str, str]:
    """The version of each part that has a say in the pixels, of those that are installed."""
    found = {"darkroom": __version__}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def device_name(device: torch.device, dtype: torch.dtype) -> str:
    """What a person calls the device, the GPU's name or the kind of processor; and in which numbers it computes."""
    import torch

    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{device.type} ({platform.machine()})"
    return f"{name}, {str(dtype).removeprefix('torch.')}"
