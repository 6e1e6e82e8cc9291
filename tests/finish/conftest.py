"""Fixtures: a reader of metadata that is not ours."""

from __future__ import annotations

import shutil

import pytest

from tests.absent import absent


@pytest.fixture(scope="session")
def exiftool() -> str:
    """The program, which reads metadata of everything; where it is absent a test is skipped, or fails under CI=true."""
    if (found := shutil.which("exiftool")) is None:
        absent("exiftool is not installed: on Debian it is the package libimage-exiftool-perl")
    return found
