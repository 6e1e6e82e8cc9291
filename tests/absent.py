"""What a test needs and a machine may lack: the test is skipped there, and fails under CI=true."""

from __future__ import annotations

import os
import subprocess
from typing import NoReturn

import pytest

from tests.process.confined import FIRST, UNSHARED


def absent(reason: str) -> NoReturn:
    """Ends the test, since this machine lacks what `reason` says."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def namespaces() -> None:
    """Where anybody may mount what only he sees, and have a first process of his own."""
    command = [*UNSHARED, *FIRST, "true"]
    try:
        subprocess.run(command, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        absent(f"this system lets nobody have namespaces of his own: {' '.join(command)}")
