"""Everything that is killed or stopped, on each server at once: most of the time goes by waiting for leases."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from queue import SimpleQueue
from random import Random

import pytest

from function.demo.process import free_ports
from function.demo.seaweedfs import SeaweedFS
from tests.crash import history
from tests.crash.history import OFF, History, stopped
from tests.crash.running import Crashes, shifting_clock
from tests.crash.steps import ClaimsIgnored, ClockOfThePod, ImagesOverwritten, RecordsOverwritten, Step
from tests.receiver import receiver
from tests.servers.minio import Minio
from tests.sizing import sized

# Seconds: the least that whole seconds allow; SeaweedFS takes up to four for a contended conditional PUT.
LEASE_ON_MINIO, LEASE_ON_SEAWEEDFS = 4, 15
# A lease that is not over before a test is.
LONG = 300

# Each is caught at the step that it is broken at, not by luck.
MUTANTS = [
    stopped("claims ignored", Step.RENDER, LONG, 1, store=ClaimsIgnored),
    stopped("images overwritten", Step.IMAGE, LEASE_ON_MINIO, 2 * LEASE_ON_MINIO, store=ImagesOverwritten),
    stopped("records overwritten", Step.RECORD, LEASE_ON_MINIO, 2 * LEASE_ON_MINIO, store=RecordsOverwritten),
    stopped("clock of the pod", Step.RENDER, LONG, 1, store=ClockOfThePod, shift=OFF),
    History("clock of the dead", "a dial", LONG, kills=(Step.CLAIMED,), shifts=(OFF,), store=ClockOfThePod.__name__),
]


@pytest.fixture(scope="package")
def on_minio(
    minio: Minio, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Crashes]:
    """Drawings on MinIO."""
    for also in ("shapes_on_minio", "on_seaweedfs"):
        # Under way at the same time, where there is such a server: they mostly wait.
        with suppress(pytest.skip.Exception):
            request.getfixturevalue(also)
    random = Random("minio")
    folder = tmp_path_factory.mktemp("crash")
    (port,) = free_ports(1)
    clock = shifting_clock(folder)
    skewed = range(sized(3, 100)) if clock else ()
    kinds = {
        "killed": killed(sized(20, 1000), LEASE_ON_MINIO, f"http://127.0.0.1:{port}"),
        "zombie": [history.zombie(random, f"zombie {n}", LEASE_ON_MINIO) for n in range(sized(5, 200))],
        "mutant": [mutant for mutant in MUTANTS if clock or mutant.store != ClockOfThePod.__name__],
        "running": [history.skewed_running(random, f"running {n}", LEASE_ON_MINIO) for n in skewed],
        "taken over": [history.skewed_killed(random, f"taken over {n}", LEASE_ON_MINIO) for n in skewed],
    }
    with receiver(port) as told:
        yield from started(Crashes(minio, folder, kinds, told, at_once=24, preload=clock))


@pytest.fixture(scope="package")
def shapes_on_minio(minio: Minio, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crashes]:
    """The embedded model on MinIO."""
    random = Random("shapes")
    kinds = {
        "killed": [history.killed(random, "shapes", n, LEASE_ON_MINIO, renderer="shapes") for n in range(sized(1, 20))]
    }
    folder = tmp_path_factory.mktemp("crash")
    yield from started(Crashes(minio, folder, kinds, SimpleQueue(), at_once=2))


@pytest.fixture(scope="package")
def on_seaweedfs(seaweedfs: SeaweedFS, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crashes]:
    """Drawings on SeaweedFS."""
    (port,) = free_ports(1)
    kinds = {"killed": killed(sized(5, 200), LEASE_ON_SEAWEEDFS, f"http://127.0.0.1:{port}", most=sized(1, 2))}
    folder = tmp_path_factory.mktemp("crash")
    with receiver(port) as told:
        yield from started(Crashes(seaweedfs, folder, kinds, told, at_once=40))


def started(crashes: Crashes) -> Iterator[Crashes]:
    try:
        yield crashes
    finally:
        crashes.stop()


def killed(count: int, lease: float, sink: str, most: int = 2) -> list[History]:
    """Every fourth with a sink."""
    random = Random(count)
    return [history.killed(random, "killed", n, lease, sink=None if n % 4 else sink, most=most) for n in range(count)]
