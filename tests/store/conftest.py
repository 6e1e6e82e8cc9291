"""Fixtures of the store's tests: each kind of store in turn, and names that no other test uses."""

from __future__ import annotations

import uuid

import pytest

from function.store import ObjectStore
from tests.fakes import MemoryStore
from tests.store.real import s3_store
from tests.stores import new_bucket

KINDS = ["memory", "seaweedfs", "minio"]


@pytest.fixture(scope="module", params=KINDS)
def store(request: pytest.FixtureRequest) -> ObjectStore:
    """A bucket without versions of each kind."""
    if request.param == "memory":
        return MemoryStore()
    server = request.getfixturevalue(request.param)
    return s3_store(server.environment, new_bucket(server))


@pytest.fixture(scope="module", params=KINDS)
def versioned(request: pytest.FixtureRequest) -> ObjectStore:
    """A bucket with versions of each kind."""
    if request.param == "memory":
        return MemoryStore(versioned=True)
    server = request.getfixturevalue(request.param)
    bucket = new_bucket(server)
    server.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return s3_store(server.environment, bucket)


@pytest.fixture
def folder() -> str:
    """A prefix of the test's own."""
    return f"{uuid.uuid4().hex}/"
