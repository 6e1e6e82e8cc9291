"""With all that is written into it a picture's way to the store still costs a tenth of the plain way without."""

from __future__ import annotations

import time
from statistics import median

import numpy as np
import pytest
from numpy.typing import NDArray

from events.prompt import Output
from function.demo.s3server import S3Server
from function.finish.finishing import Finishing
from function.finish.marking import Marker
from function.finish.reading import seen
from function.finish.verification import State, Verifier
from function.finish.xmp import SourceType
from function.render import Picture
from tests.finish.marked import signer
from tests.finish.pictures import origin
from tests.render.bench_encode import Side, measured
from tests.stores import new_bucket


def finished_png(pixels: NDArray[np.uint8]) -> bytes:
    """As it is stored: with all that a file says, signed; the sum of its pixels is taken on the way."""
    return Finishing(Marker(signer=signer()))(Picture(pixels, 1), origin(), [Output()]).files[0].body


@pytest.fixture(scope="module")
def sides(seaweedfs: S3Server) -> tuple[Side, Side]:
    return measured(seaweedfs, new_bucket(seaweedfs), size=1024, pairs=6, encode=finished_png)


def test_finishing_and_storing_cost_a_tenth(sides: tuple[Side, Side]) -> None:
    ours, plain = sides
    print(f"finished {median(plain.encoding) / median(ours.encoding):.1f} times less, ", end="")
    print(f"stored, too, {median(plain.whole) / median(ours.whole):.1f} times less, of {median(plain.whole):.0f} ms")
    assert Verifier()(ours.stored).state is State.VALID
    assert seen(ours.stored).record is not None
    assert median(plain.whole) >= 10 * median(ours.whole)


def test_signing_costs_less_than_encoding(sides: tuple[Side, Side]) -> None:
    ours, _ = sides
    before = time.process_time()
    for _ in range(5):
        signer().sign(ours.stored, "image/png", SourceType.GENERATED)
    signing = (time.process_time() - before) / 5 * 1e3
    print(f"signing {signing:.1f} ms of {median(ours.encoding):.1f} ms")
    assert signing < median(ours.encoding) / 2
