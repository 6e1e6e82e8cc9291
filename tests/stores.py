"""Fixtures: real S3 servers for a whole session, without webhook, and buckets of a test's own."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Protocol, TypeVar

import pytest

from function.demo.s3server import S3Server, ServerAbsent
from function.demo.seaweedfs import SeaweedFS
from tests.absent import absent
from tests.servers.kafka import Kafka
from tests.servers.minio import Minio

AnyServer = TypeVar("AnyServer", bound="Server")


def new_bucket(server: S3Server, name: str = "test") -> str:
    """Creates a bucket that no other test has, and returns its name."""
    bucket = f"{name}-{secrets.token_hex(6)}"
    server.create_bucket(bucket)
    return bucket


class Server(Protocol):
    """What runs beside a test; `start` raises `ServerAbsent` where it is not installed."""

    def start(self) -> None: ...

    def stop(self) -> None: ...


def running(server: AnyServer) -> Iterator[AnyServer]:
    """Runs a server for the length of a fixture; where it is absent the test is skipped, or fails under CI=true."""
    try:
        server.start()
    except ServerAbsent as error:
        absent(str(error))
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFS]:
    """A running SeaweedFS."""
    yield from running(SeaweedFS(tmp_path_factory.mktemp("seaweedfs")))


@pytest.fixture(scope="session")
def minio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Minio]:
    """A running MinIO."""
    yield from running(Minio(tmp_path_factory.mktemp("minio")))


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """A running Kafka."""
    yield from running(Kafka(tmp_path_factory.mktemp("kafka")))


@pytest.fixture(scope="session", params=["seaweedfs", "minio"])
def s3_server(request: pytest.FixtureRequest) -> S3Server:
    """Each of the running servers in turn."""
    server: S3Server = request.getfixturevalue(request.param)
    return server
