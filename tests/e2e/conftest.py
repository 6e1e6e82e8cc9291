"""Fixtures: Darkroom in the cluster, built, loaded and installed as docs/install.md says; figures for the end."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Generator, Iterator
from typing import Final

import pytest

from tests.darkroom import REPOSITORY
from tests.e2e import page
from tests.e2e.cluster import Cluster
from tests.e2e.figures import Figures
from tests.e2e.images import load_images
from tests.e2e.installation import NAMESPACE, Installation, standing
from tests.e2e.pods import WORKSHOP, close_workshop, open_workshop

FIGURES: Final = pytest.StashKey[Figures]()
# On the namespace: that what is in it is ours to delete.
OURS: Final = "darkroom.dev/e2e=true"
CLUSTER: Final = Cluster(NAMESPACE)


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
    reached = CLUSTER.run("version", "--output=json", seconds=60)
    if reached.returncode:
        pytest.exit(f"make e2e needs a cluster; set KUBECONFIG. kubectl says: {reached.stderr.strip()}", 2)
    for kind in ("services.serving.knative.dev", "brokers.eventing.knative.dev"):
        if not CLUSTER.has(kind):
            pytest.exit(f"the cluster does not know {kind}; docs/install.md installs Knative", 2)
    if CLUSTER.run("get", "namespace", NAMESPACE).returncode == 0:
        labels = CLUSTER.read("namespace", NAMESPACE)["metadata"].get("labels", {})
        name, _, value = OURS.partition("=")
        if labels.get(name) != value:
            pytest.exit(
                f"there is a namespace {NAMESPACE} that these tests did not make, and they would delete it; "
                f"if they may, `kubectl label namespace {NAMESPACE} {OURS}`",
                2,
            )
    return CLUSTER


@pytest.fixture(scope="session")
def installation(
    cluster: Cluster, figures: Figures, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """Darkroom in the cluster, removed afterwards unless KEEP is set."""
    folder = tmp_path_factory.mktemp("e2e")
    began = time.monotonic()
    load_images(cluster)
    figures.note("install", "load the images", time.monotonic() - began)
    began = time.monotonic()
    try:
        page.follow("install", REPOSITORY)
    finally:
        cluster.run("label", "namespace", NAMESPACE, OURS, "--overwrite")
    figures.note("install", "from nothing to ready", time.monotonic() - began)
    open_workshop()
    try:
        with standing(cluster, folder) as installed:
            yield installed
    finally:
        if not os.environ.get("KEEP"):
            page.follow("uninstall", REPOSITORY)
            close_workshop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure comes with what somebody would look at first."""
    report = yield
    if report.failed:
        report.sections += [(f"namespace {each.namespace}", each.portrait()) for each in (CLUSTER, WORKSHOP)]
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    table = config.stash[FIGURES].table()
    if table:
        terminalreporter.section("figures")
        terminalreporter.write_line(table)
