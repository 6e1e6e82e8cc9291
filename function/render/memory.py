"""How much of the device's memory is taken: as the settings want it, and less where it has run out."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import structlog

from function.render.faults import Fault, fault_of, first_line

if TYPE_CHECKING:
    import torch
    from diffusers import AutoencoderKL

Offload = Literal["none", "model", "sequential"]
Tiling = Literal["auto", "on", "off"]
Step = Literal["as_is", "alone", "in_tiles", "offloaded"]
Rung = Callable[[], AbstractContextManager[None]]

# In latents, 8 pixels each. By itself a VAE takes pictures of the size that it was trained on in one piece, which for
# SDXL is 128 and the most that a render ever needs at once.
TILE: Final = 64
# How many times the model's own number of pixels a picture may have and still be decoded in one piece by itself.
LARGE: Final = 2

_CGROUP: Final = Path("/sys/fs/cgroup")
_MEMINFO: Final = Path("/proc/meminfo")

log = structlog.get_logger()


class Memory:
    """What a model's pipelines take of the device; `rungs` are the ways to take ever less, for a picture.

    `let_go` drops what is kept beside the model and not in use.
    """

    def __init__(
        self,
        pipelines: Sequence[Any],
        device: torch.device,
        *,
        offload: Offload = "none",
        tiling: Tiling = "auto",
        let_go: Callable[[], None] = lambda: None,
    ) -> None:
        from torch.nn import Module

        base = pipelines[0]
        found = [part for each in pipelines for part in each.components.values() if isinstance(part, Module)]
        self._parts = list(dict.fromkeys(found))
        self._device = device
        self._vae: AutoencoderKL = base.vae
        self._own_pixels = (base.default_sample_size * base.vae_scale_factor) ** 2
        self._tiling = tiling
        self._let_go = let_go
        self._left_apart = False
        # A second try is worth it with nothing to let go of, too: memory that is in pieces comes together again.
        self.early_rungs: Mapping[Step, Rung] = {"as_is": self._as_is, "alone": self._alone}
        self.rungs: dict[Step, Rung] = {**self.early_rungs, "in_tiles": lambda: tiled(self._vae, TILE)}
        # A CPU has nowhere else to put them, and what is offloaded already is so on each rung.
        if offload == "none" and device.type != "cpu":
            self.rungs["offloaded"] = self.apart
        self._offload(offload)

    def usual(self, width: int, height: int) -> AbstractContextManager[None]:
        """While a picture of this size is drawn: the VAE in tiles where the setting wants that."""
        if self._tiling == "on":
            return tiled(self._vae, TILE)
        if self._tiling == "auto" and width * height > LARGE * self._own_pixels:
            return tiled(self._vae, self._vae.tile_latent_min_size)
        return nullcontext()

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Have one of the model's parts on the device at a time; afterwards all of them again."""
        needed = sum(
            tensor.nbytes for part in self._parts for tensor in part.parameters() if tensor.device.type != "cpu"
        )
        if needed > (free := free_memory()):
            # The system would end the process for it.
            raise MemoryError(
                f"the model's {needed >> 20} MB would have to go into {int(free) >> 20} MB of the machine's"
            )
        try:
            self._offload("model")
            yield
        finally:
            self._together()

    @contextmanager
    def _as_is(self) -> Iterator[None]:
        if self._left_apart:
            self._together()
        yield

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self._let_go()
        # Modules hold each other in circles.
        gc.collect()
        yield

    def _together(self) -> None:
        from function.render.offloading import whole

        self._left_apart = False
        try:
            whole(self._parts, self._device)
        except Exception as error:
            if fault_of(error) is not Fault.OUT_OF_MEMORY:
                raise
            # Somebody else has taken the memory: slower, and the next picture tries again.
            log.warning("model.left_apart", error=first_line(error))
            self._left_apart = True
            self._offload("model")

    def _offload(self, offload: Offload) -> None:
        from function.render.offloading import by_layer, by_part

        if offload == "model":
            by_part(self._parts, self._device)
        elif offload == "sequential":
            by_layer(self._parts, self._device)


@contextmanager
def tiled(vae: AutoencoderKL, latents: int) -> Iterator[None]:
    """Encode and decode in tiles of at most so many latents a side, which changes pixels where they meet."""
    before = vae.use_tiling, vae.tile_latent_min_size, vae.tile_sample_min_size
    latents = min(vae.tile_latent_min_size, latents)
    vae.tile_sample_min_size = latents * vae.tile_sample_min_size // vae.tile_latent_min_size
    vae.tile_latent_min_size = latents
    vae.enable_tiling()
    try:
        yield
    finally:
        vae.use_tiling, vae.tile_latent_min_size, vae.tile_sample_min_size = before


def free_memory(cgroup: Path = _CGROUP, meminfo: Path = _MEMINFO) -> float:
    """The bytes that the machine, or the container, has left for this process; infinite where neither says."""
    left = [float("inf")]
    with suppress(OSError, KeyError, ValueError):
        left.append(1024 * _figures(meminfo)["MemAvailable:"])
    with suppress(OSError, KeyError, ValueError):
        # Files that were read count as used, and are let go of when there is need.
        used = int((cgroup / "memory.current").read_text()) - _figures(cgroup / "memory.stat")["inactive_file"]
        left.append(int((cgroup / "memory.max").read_text()) - used)
    return min(left)


def _figures(file: Path) -> Mapping[str, int]:
    rows = (line.split() for line in file.read_text().splitlines())
    return {name: int(figure) for name, figure, *_ in rows}
