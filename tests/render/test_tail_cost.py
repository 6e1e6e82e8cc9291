"""From decoded tensor to stored object, ours costs a tenth of the plain way's CPU time at most."""

from __future__ import annotations

from statistics import median

import numpy as np
import pytest

from function.demo.s3server import S3Server
from tests.render.bench_encode import Side, measured, pixels_in
from tests.stores import new_bucket


@pytest.fixture(scope="module")
def sides(seaweedfs: S3Server) -> tuple[Side, Side]:
    return measured(seaweedfs, new_bucket(seaweedfs), size=1024, pairs=8)


def test_encoding_costs_a_tenth(sides: tuple[Side, Side]) -> None:
    ours, plain = sides
    assert median(plain.encoding) >= 10 * median(ours.encoding)


def test_encoding_and_storing_cost_a_tenth(sides: tuple[Side, Side]) -> None:
    ours, plain = sides
    assert median(plain.whole) >= 10 * median(ours.whole)


def test_what_is_stored_is_the_same_picture_and_hardly_larger(sides: tuple[Side, Side]) -> None:
    ours, plain = sides
    assert np.array_equal(pixels_in(ours.stored), pixels_in(plain.stored))
    assert len(ours.stored) <= 1.15 * len(plain.stored)
