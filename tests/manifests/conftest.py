"""Fixtures: the program that renders the manifests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.manifests.rendering import find_kustomize
from tests.stores import running


class Kustomize:
    """A program, handled as the servers of other tests are: absent is skipped, or a failure under CI=true."""

    def start(self) -> None:
        find_kustomize()

    def stop(self) -> None:
        pass


@pytest.fixture(scope="session", autouse=True)
def kustomize() -> Iterator[Kustomize]:
    """Kustomize, built."""
    yield from running(Kustomize())
