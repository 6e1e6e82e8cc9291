"""Fixtures: a reader of metadata that is not ours."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.absent import absent

# Of the files in a folder what such options ask for, a dictionary each.
Exiftool = Callable[..., list[dict[str, Any]]]


@pytest.fixture(scope="session")
def exiftool() -> Exiftool:
    """What reads metadata of everything; where it is absent a test is skipped, or fails under CI=true."""
    if (program := shutil.which("exiftool")) is None:
        absent("exiftool is not installed: on Debian it is the package libimage-exiftool-perl")

    def read(folder: Path, *options: str) -> list[dict[str, Any]]:
        run = subprocess.run([program, "-json", *options, folder], capture_output=True, check=True)
        rows: list[dict[str, Any]] = json.loads(run.stdout)
        return rows

    return read
