"""What diffusers draws by itself, with the noise that the renderer takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray


def picture_of(pipeline: Any, seed: int, **arguments: Any) -> NDArray[np.uint8]:
    """The pixels that the pipeline gives, called with these."""
    pipeline.set_progress_bar_config(disable=True)
    return np.asarray(pipeline(generator=torch.Generator().manual_seed(seed), **arguments).images[0])
