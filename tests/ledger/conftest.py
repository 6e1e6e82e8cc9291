"""Fixtures of the ledger's tests: a stage of each kind in turn."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from function.demo.s3server import S3Server
from function.store import ObjectStore
from tests.darkroom import eventually
from tests.fakes import Clock, MemoryStore
from tests.faults import Fault, lose_answer
from tests.faults.proxy import FaultProxy
from tests.ledger.stage import Stage, memory_stage
from tests.store.real import s3_store
from tests.stores import new_bucket

pytest.register_assert_rewrite("tests.ledger.scenarios")


def real_stage(server: S3Server, proxy: FaultProxy) -> Stage:
    """A stage in a new bucket of `server`, where time passes by itself."""
    store = s3_store(server.environment, new_bucket(server))
    behind = s3_store(server.environment | {"AWS_ENDPOINT_URL_S3": proxy.url}, store.bucket)

    def elapse(seconds: float) -> None:
        marker = f"elapse/{uuid.uuid4().hex}"
        store.write(marker, b"")

        def over() -> bool:
            stored = store.read(marker)
            return stored is not None and stored.age > seconds

        eventually(over, f"{seconds:g} s by the store's clock", seconds + 60)

    @contextmanager
    def answer_lost() -> Iterator[ObjectStore]:
        with proxy.injecting(Fault(lose_answer, "PUT", count=1)):
            yield behind

    return Stage(store, elapse, answer_lost)


@pytest.fixture(scope="module", params=["memory", "seaweedfs", "minio"])
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    """A stage in memory and on each real server."""
    if request.param == "memory":
        clock = Clock()
        yield memory_stage(MemoryStore(clock=clock), clock)
        return
    server: S3Server = request.getfixturevalue(request.param)
    with FaultProxy(server) as proxy:
        yield real_stage(server, proxy)
