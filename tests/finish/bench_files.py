"""CPU time of each file of a picture, and of what is written into it: the figures of docs/files.md and provenance.md.

`python -m tests.finish.bench_files [TIMES]` needs the extras `render` and `demo`.
"""

from __future__ import annotations

import hashlib
import io
import sys
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Final

from PIL import Image

from events.prompt import Output
from function.finish.metadata import Said, said
from function.finish.renditions import rendition
from function.finish.xmp import SourceType, packet
from function.render.pixels import pixels_of
from tests.finish.marked import signer
from tests.finish.pictures import origin
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
    """Print a row for each file: encoded, with XMP beside, with the record and A1111's line too, and then signed."""
    (pixels,) = pixels_of(photo(size))
    plain = cost(lambda: Image.fromarray(pixels).save(io.BytesIO(), "png"), max(1, times // 5))
    summed = cost(lambda: hashlib.sha256(pixels.tobytes()).hexdigest(), times)
    print(
        f"{size}x{size}, median CPU ms of {times}; Pillow's own PNG {plain:.0f} ms; sum of the pixels {summed:.1f} ms"
    )
    xmp = packet(SourceType.GENERATED)
    print(f"{'':12}{'encode':>8}{'+ XMP':>8}{'+ all':>8}{'C2PA':>8}{'bytes':>12}{'of them XMP, all, C2PA':>26}")
    for output in FILES:
        ways = [partial(rendition, pixels, output, one) for one in (Said(), Said(xmp=xmp), said(origin(), 7, xmp))]
        bare, marked, whole = (way() for way in ways)
        sign = partial(signer().sign, whole.body, whole.content_type, SourceType.GENERATED)
        row = f"{output.format} {output.max_side or ''}"
        costs = "".join(f"{taken:8.1f}" for taken in (*(cost(way, times) for way in ways), cost(sign, times)))
        more = [len(one) - len(bare.body) for one in (marked.body, whole.body)]
        sizes = ", ".join(f"{one:,}" for one in (*more, len(sign()) - len(whole.body)))
        print(f"{row:12}{costs}{len(bare.body):12,}{sizes:>26}")


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:2]))
