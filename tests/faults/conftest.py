"""Fixtures of the faults' tests: the proxy in front of a real MinIO."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.proxy import FaultProxy
from tests.servers.minio import Minio


@pytest.fixture(scope="package")
def proxy(minio: Minio) -> Iterator[FaultProxy]:
    """A proxy that does nothing by itself."""
    with FaultProxy(minio) as proxy:
        yield proxy
