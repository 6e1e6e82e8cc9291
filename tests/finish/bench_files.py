"""CPU time of each file of a picture, and of what is written into it: the figures of docs/files.md and provenance.md.

`python -m tests.finish.bench_files [TIMES]` needs the extras `render` and `demo`.
"""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Final

from PIL import Image

from events.prompt import Output
from function.finish.metadata import Said
from function.finish.renditions import rendition
from function.finish.xmp import SourceType, packet
from function.render.pixels import pixels_of
from tests.finish.marked import signer
from tests.render.bench_encode import photo

FILES: Final = (
    *(Output(format=name) for name in ("png", "jpeg", "webp", "avif")),
    Output(format="png", max_side=512),
    Output(format="jpeg", max_side=256),
)


def cost(work: Callable[[], object], times: int) -> float:
    """The median CPU time of `work`, in milliseconds (user + system)."""
    taken = []
    for _ in range(times):
        before = time.process_time()
        work()
        taken.append((time.process_time() - before) * 1e3)
    return median(taken)


def main(times: int = 15, size: int = 1024) -> None:
    """Print a row for each file: encoded, with XMP beside, and then signed."""
    (pixels,) = pixels_of(photo(size))
    plain = cost(lambda: Image.fromarray(pixels).save(io.BytesIO(), "png"), max(1, times // 5))
    print(f"{size}x{size}, median CPU ms of {times}; Pillow's own PNG {plain:.0f} ms")
    print(f"{'':12}{'encode':>8}{'+ XMP':>8}{'C2PA':>8}{'bytes':>12}{'of them XMP, C2PA':>22}")
    xmp = Said(xmp=packet(SourceType.GENERATED))
    for output in FILES:
        bare, said = (rendition(pixels, output, one) for one in (Said(), xmp))
        encode, with_xmp = (cost(partial(rendition, pixels, output, one), times) for one in (Said(), xmp))
        sign = partial(signer().sign, said.body, said.content_type, SourceType.GENERATED)
        row = f"{output.format} {output.max_side or ''}"
        sizes = f"{len(said.body) - len(bare.body):,}, {len(sign()) - len(said.body):,}"
        print(f"{row:12}{encode:8.1f}{with_xmp:8.1f}{cost(sign, times):8.1f}{len(bare.body):12,}{sizes:>22}")


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:2]))
