"""The stage with the real program on it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.dispatch.stage import Stage
from tests.servers.minio import Minio


@pytest.fixture
def stage(minio: Minio, tmp_path: Path) -> Stage:
    return Stage(minio, tmp_path)
