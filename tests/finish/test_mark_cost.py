"""With its mark a picture's way to the store still costs a tenth of the plain way without one."""

from __future__ import annotations

import time
from statistics import median

import numpy as np
import pytest
from numpy.typing import NDArray

from function.demo.s3server import S3Server
from function.finish.png import png
from function.finish.verification import State, Verifier
from function.finish.xmp import PNG_KEYWORD, SourceType, packet
from tests.finish.marked import signer
from tests.render.bench_encode import Side, measured
from tests.stores import new_bucket


def marked_png(pixels: NDArray[np.uint8]) -> bytes:
    body = png(pixels, {PNG_KEYWORD: packet(SourceType.GENERATED)})
    return signer().sign(body, "image/png", SourceType.GENERATED)


@pytest.fixture(scope="module")
def sides(seaweedfs: S3Server) -> tuple[Side, Side]:
    return measured(seaweedfs, new_bucket(seaweedfs), size=1024, pairs=6, encode=marked_png)


def test_encoding_marking_and_storing_cost_a_tenth(sides: tuple[Side, Side]) -> None:
    ours, plain = sides
    print(f"encoded and marked {median(plain.encoding) / median(ours.encoding):.1f} times less, ", end="")
    print(f"stored, too, {median(plain.whole) / median(ours.whole):.1f} times less, of {median(plain.whole):.0f} ms")
    assert Verifier()(ours.stored).state is State.VALID
    assert median(plain.whole) >= 10 * median(ours.whole)


def test_signing_costs_less_than_encoding(sides: tuple[Side, Side]) -> None:
    ours, _ = sides
    before = time.process_time()
    for _ in range(5):
        signer().sign(ours.stored, "image/png", SourceType.GENERATED)
    signing = (time.process_time() - before) / 5 * 1e3
    print(f"signing {signing:.1f} ms of {median(ours.encoding):.1f} ms")
    assert signing < median(ours.encoding) / 2
