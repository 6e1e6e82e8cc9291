"""LoRAs that come and go: nothing of one is in the next picture, and nothing piles up."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from function.render.sdxl import SdxlRenderer
from tests.render.test_adapters import by_hand, fresh, pixels, wear
from tests.sizing import sized

SWAPS = sized(30, 200)
WARM = sized(10, 20)
# A LoRA of these is a quarter of a MB, so that in the slice, too, it would tell if each of them were left.
MOST_GROWTH = sized(1_500_000, 20 << 20)


def resident() -> int:
    """Bytes of this process that are in memory."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) << 10


@pytest.mark.chaos
@pytest.mark.parametrize("kept", [0, 1 << 30], ids=["loaded each time", "kept"])
def test_alternating_loras_leak_neither_into_pixels_nor_into_memory(
    untrained: Path, installed: Path, kept: int
) -> None:
    fields: list[list[dict[str, Any]]] = [[{"name": "ink", "scale": 0.8}], [{"name": "kohya"}], []]
    expected = []
    for loras in fields:
        pipeline = fresh(untrained)
        if loras:
            wear(pipeline, installed.parent, loras)
        expected.append(by_hand(pipeline, width=64, height=64))
    assert len({picture.tobytes() for picture in expected}) == len(fields)

    renderer = SdxlRenderer(model=str(untrained), device="cpu", adapters=str(installed), adapters_kept=kept)
    renderer.load()
    before = 0
    for swap in range(SWAPS):
        if swap == WARM:
            gc.collect()
            before = resident()
        # Two LoRAs in turn, and at times none.
        which = 2 if swap % 7 == 6 else swap % 2
        assert np.array_equal(pixels(renderer, loras=fields[which]), expected[which]), f"swap {swap}"
    gc.collect()
    assert before, "not one swap was measured"
    growth = resident() - before
    print(f"\n{SWAPS - WARM} swaps of LoRAs: {growth / (1 << 20):.1f} MB more in memory")
    assert growth < MOST_GROWTH
