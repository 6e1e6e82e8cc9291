"""Fixtures that every test may use, and a watch over all processes of the suite: none may leave this machine."""

from __future__ import annotations

import os
import runpy
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.watch import WATCH, foreign_connections

pytest_plugins = ["tests.absent", "tests.stores"]

# Before any test's modules are imported, and for every process that they start.
_log = tempfile.NamedTemporaryFile(prefix="foreign-", suffix=".log")  # noqa: SIM115  # as long as this process
os.environ["FOREIGN_LOG"] = _log.name
os.environ["PYTHONPATH"] = os.pathsep.join([str(WATCH), *filter(None, [os.environ.get("PYTHONPATH")])])
runpy.run_path(str(WATCH / "sitecustomize.py"))

# A small model is drawn with five times less CPU time by one thread than by two, and tests run side by side.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session", autouse=True)
def nothing_leaves_this_machine() -> Iterator[None]:
    """No process of the suite may connect to anything but this machine; the last test fails if one did."""
    yield
    foreign = foreign_connections(Path(_log.name))
    assert not foreign, "\n".join(["connections that leave this machine:", *foreign])
