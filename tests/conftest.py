"""Fixtures that every test may use, and a watch over all processes of the suite: none may leave this machine."""

from __future__ import annotations

import os
import runpy
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.watch import WATCH, foreign_connections

pytest_plugins = ["tests.stores"]

# Before any test's modules are imported, and for every process that they start.
_descriptor, _log = tempfile.mkstemp(prefix="foreign-", suffix=".log")
os.close(_descriptor)
os.environ["FOREIGN_LOG"] = _log
os.environ["PYTHONPATH"] = os.pathsep.join([str(WATCH), *filter(None, [os.environ.get("PYTHONPATH")])])
runpy.run_path(str(WATCH / "sitecustomize.py"))


@pytest.fixture(scope="session", autouse=True)
def nothing_leaves_this_machine() -> Iterator[None]:
    """No process of the suite may connect to anything but this machine; the last test fails if one did."""
    yield
    foreign = foreign_connections(Path(_log))
    Path(_log).unlink()
    assert not foreign, "\n".join(["connections that leave this machine:", *foreign])
