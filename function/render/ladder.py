"""When memory runs out: once more with less of it, then a failure; afterwards all is as it was before."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import structlog

from function.errors import OutOfMemory
from function.render import Rendering
from function.render.faults import Fault, fault_of, first_line

if TYPE_CHECKING:
    from diffusers import AutoencoderKL

# In latents, 8 pixels each. By itself a VAE takes pictures of the size that it was trained on in one piece, which for
# SDXL is 128 and the most that a render ever needs at once.
TILE: Final = 64

log = structlog.get_logger()


def climb(draw: Callable[[], Rendering], vae: AutoencoderKL) -> Rendering:
    """What `draw` gives, on a second try with `vae` in tiles if memory runs out; `OutOfMemory` if it does again."""
    rendering = _try(draw)
    if rendering is None:
        # That is where the most can be saved. Slicing would do nothing: pictures are drawn one by one, and diffusers
        # itself advises against sliced attention where torch's own is used.
        with _tiled(vae):
            rendering = _try(draw)
    if rendering is None:
        raise OutOfMemory
    return rendering


def _try(draw: Callable[[], Rendering]) -> Rendering | None:
    import torch

    try:
        return draw()
    except Exception as error:
        if fault_of(error) is not Fault.OUT_OF_MEMORY:
            raise
        log.warning("memory.ran_out", error=first_line(error))
    # Only here: until the `except` is left, the exception holds its frames, and they hold their tensors.
    gc.collect()
    torch.cuda.empty_cache()
    return None


@contextmanager
def _tiled(vae: AutoencoderKL) -> Iterator[None]:
    """Decode in tiles, which changes pixels where they meet."""
    before = vae.use_tiling, vae.tile_latent_min_size, vae.tile_sample_min_size
    latents = min(vae.tile_latent_min_size, TILE)
    vae.tile_sample_min_size = latents * vae.tile_sample_min_size // vae.tile_latent_min_size
    vae.tile_latent_min_size = latents
    vae.enable_tiling()
    log.info("picture.in_tiles", latents=latents)
    try:
        yield
    finally:
        vae.use_tiling, vae.tile_latent_min_size, vae.tile_sample_min_size = before
