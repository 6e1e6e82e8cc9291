"""From the VAE's decoded tensor to pixels, in one pass."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray


def pixels_of(decoded: torch.Tensor) -> NDArray[np.uint8]:
    """Return what diffusers' `VaeImageProcessor` makes of a tensor (n, 3, height, width): bytes (n, height, width, 3).

    Values outside [-1, 1] are clamped; any float dtype, any device; NaN has no defined result.
    """
    # The halving is exact, so this one pass rounds, in the tensor's own dtype, as diffusers' two do.
    unit = torch.add(decoded.new_full((), 0.5), decoded, alpha=0.5)
    levels = unit.float().mul_(255).round_().clamp_(0, 255).to(torch.uint8)
    pixels: NDArray[np.uint8] = torch.stack(levels.unbind(1), dim=-1).cpu().numpy()
    return pixels
