"""The Kafka of the tests: it says what is missing or wrong, and comes back with its records."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from function.demo.process import ChildFailed
from function.demo.s3server import ServerAbsent
from tests.kafka.route import publish, route
from tests.servers.kafka import Kafka


@pytest.fixture
def stopped(kafka: Kafka, tmp_path: Path) -> Iterator[Kafka]:
    """A Kafka of the test's own, where there is one at all."""
    server = type(kafka)(tmp_path)
    yield server
    server.stop()


def test_stops_without_a_trace_and_comes_back_with_its_records(stopped: Kafka) -> None:
    stopped.start()
    publish(stopped.bootstrap, "kept", {"value": b"kept"})
    pid = stopped.pid
    assert pid is not None
    stopped.stop()
    with pytest.raises(ProcessLookupError):
        os.killpg(pid, 0)
    stopped.start()
    with route(stopped.bootstrap, "kept") as way:
        assert way.next()[0].record.value == b"kept"


def test_failed_start_says_why_and_leaves_no_process(stopped: Kafka) -> None:
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", int(stopped.bootstrap.rpartition(":")[2])))
        squatter.listen()
        with pytest.raises(ChildFailed, match=r"(?s)Kafka ended with status \d+ .*kafka\.log:.*in use"):
            stopped.start()
    assert stopped.pid is None


def test_absent_server_says_how_to_get_it(tmp_path: Path) -> None:
    class Nowhere(Kafka):
        jars = tmp_path / "jars"

    with pytest.raises(ServerAbsent, match=r"run tests/servers/install_kafka\.sh"):
        Nowhere(tmp_path).start()
