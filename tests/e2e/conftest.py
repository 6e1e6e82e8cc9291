"""Fixtures: Darkroom in the cluster, built, loaded and installed as docs/install.md says; figures for the end."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Final

import pytest

from tests.darkroom import REPOSITORY
from tests.e2e import page
from tests.e2e.cluster import Cluster
from tests.e2e.figures import Figures
from tests.e2e.images import load_images
from tests.e2e.installation import Installation, standing
from tests.e2e.namespaces import DARKROOM, WORKSHOP, made, refuse_foreign
from tests.e2e.pods import workshop

FIGURES: Final = pytest.StashKey[Figures]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[FIGURES] = Figures()


@pytest.fixture(scope="session")
def figures(pytestconfig: pytest.Config) -> Figures:
    """Where a story notes its figures."""
    return pytestconfig.stash[FIGURES]


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    """Darkroom's namespace in a cluster that has Knative; everything ends here where there is none."""
    if not shutil.which("kubectl"):
        pytest.exit("make e2e needs kubectl on the PATH", 2)
    reached = DARKROOM.run("version", "--output=json", seconds=60)
    if reached.returncode:
        pytest.exit(f"make e2e needs a cluster; set KUBECONFIG. kubectl says: {reached.stderr.strip()}", 2)
    for kind in ("services.serving.knative.dev", "brokers.eventing.knative.dev"):
        if not DARKROOM.has(kind):
            pytest.exit(f"the cluster does not know {kind}; docs/install.md installs Knative", 2)
    refuse_foreign()
    return DARKROOM


@pytest.fixture(scope="session")
def installation(
    cluster: Cluster, figures: Figures, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """Darkroom in the cluster, removed afterwards unless KEEP is set."""
    folder = tmp_path_factory.mktemp("e2e")
    keep = bool(os.environ.get("KEEP"))
    began = time.monotonic()
    load_images(cluster)
    figures.note("install", "load the images", time.monotonic() - began)
    with (
        workshop(keep=keep),
        following_the_page(cluster, figures, keep=keep),
        standing(cluster, folder) as installed,
    ):
        yield installed


@contextmanager
def following_the_page(cluster: Cluster, figures: Figures, *, keep: bool) -> Iterator[None]:
    """Darkroom, installed and removed as docs/install.md says; of what that cannot remove nothing stays either."""
    with made(cluster, keep=keep):
        began = time.monotonic()
        page.follow("install", REPOSITORY)
        figures.note("install", "from nothing to ready", time.monotonic() - began)
        try:
            yield
        finally:
            if not keep:
                page.follow("uninstall", REPOSITORY)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure comes with what somebody would look at first."""
    report = yield
    if report.failed:
        report.sections += [(f"namespace {each.namespace}", each.portrait()) for each in (DARKROOM, WORKSHOP)]
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    table = config.stash[FIGURES].table()
    if table:
        terminalreporter.section("figures")
        terminalreporter.write_line(table)
