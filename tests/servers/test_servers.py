"""The embedded S3 servers: they start, refuse a second create, call their webhook, and leave nothing behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from function.demo.process import Child, ChildFailed, free_ports
from function.demo.s3server import S3Server, Webhook
from function.demo.seaweedfs import SeaweedFS
from tests.receiver import receiver
from tests.servers.minio import Minio
from tests.stores import new_bucket, running

BOTH = pytest.mark.parametrize("kind", [SeaweedFS, Minio])


@contextmanager
def started(server: S3Server) -> Iterator[S3Server]:
    """A server of the test's own, skipped or failed where it is absent."""
    yield from running(server)


def wait_until_gone(pid: int, seconds: float = 10) -> None:
    """Waits until no process has this id, or only one that is dead and not yet reaped by init."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return
        except (ProcessLookupError, FileNotFoundError):
            return
        time.sleep(0.05)
    pytest.fail(f"process {pid} still runs after {seconds:.0f} s")


def test_second_create_is_refused(s3_server: S3Server) -> None:
    bucket = new_bucket(s3_server)
    s3_server.client.put_object(Bucket=bucket, Key="claim", Body=b"first", IfNoneMatch="*")
    with pytest.raises(ClientError) as refused:
        s3_server.client.put_object(Bucket=bucket, Key="claim", Body=b"second", IfNoneMatch="*")
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 412
    assert s3_server.client.get_object(Bucket=bucket, Key="claim")["Body"].read() == b"first"


@BOTH
def test_webhook_tells_of_a_put_in_its_bucket_alone(kind: type[SeaweedFS | Minio], tmp_path: Path) -> None:
    (port,) = free_ports(1)
    webhook = Webhook(f"http://127.0.0.1:{port}/drop", "a-token", prefix="in/")
    # The receiver comes up after the server, as `darkroom serve` does in the demo.
    with started(kind(tmp_path, ["prompts", "images"], webhook)) as server, receiver(port) as deliveries:
        for bucket, key in [("images", "in/other.json"), ("prompts", "out/other.json"), ("prompts", "in/a red+é.json")]:
            server.client.put_object(Bucket=bucket, Key=key, Body=b"{}")
        seen: list[dict[str, str]] = []
        while not seen or "red" not in json.dumps(seen[-1]):
            delivery = deliveries.get(timeout=30)
            assert (delivery.path, delivery.authorization) == ("/drop", "Bearer a-token")
            seen.append(json.loads(delivery.body))
    keys = [event.get("Key") or event["key"].removeprefix("/buckets/") for event in seen]
    assert keys[-1] == "prompts/in/a red+é.json"
    assert all(key in ("prompts/in", keys[-1]) for key in keys), "SeaweedFS may tell of the folder, nobody of more"


def test_listens_on_no_other_address(s3_server: S3Server) -> None:
    port = int(s3_server.endpoint.rpartition(":")[2])
    socket.create_connection(("127.0.0.1", port), timeout=5).close()
    with pytest.raises(OSError, match=r"refused|unreachable|timed out"):
        socket.create_connection(("127.0.0.2", port), timeout=5).close()


@BOTH
def test_failed_start_says_why_and_leaves_no_process(kind: type[SeaweedFS | Minio], tmp_path: Path) -> None:
    server = kind(tmp_path)
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", int(server.endpoint.rpartition(":")[2])))
        with pytest.raises(ChildFailed, match=r"(?s)ended with status \d+ .*\.log:.*in use"), started(server):
            pass
    assert server.pid is None


@BOTH
def test_stops_without_a_trace_and_comes_back_with_its_objects(kind: type[SeaweedFS | Minio], tmp_path: Path) -> None:
    with started(kind(tmp_path, ["prompts"])) as server:
        server.client.put_object(Bucket="prompts", Key="kept", Body=b"kept")
        pid = server.pid
        assert pid is not None
        os.killpg(pid, 0)
        server.stop()
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
        with pytest.raises(ProcessLookupError):
            os.killpg(pid, 0)
        with pytest.raises(EndpointConnectionError):
            server.client.list_buckets()
        port = server.endpoint.rpartition(":")[2]
        assert not [*Path("/tmp").glob(f"*{port}.sock")]  # noqa: S108  # where SeaweedFS puts them

        server.start()
        assert server.pid not in (None, pid)
        assert server.client.get_object(Bucket="prompts", Key="kept")["Body"].read() == b"kept"


@pytest.mark.parametrize(("ci", "outcome"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)])
def test_absent_server_is_skipped_but_fails_the_ci(
    ci: str, outcome: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Nowhere(Minio):
        binary = tmp_path / "minio"

    monkeypatch.setenv("CI", ci)
    # Both are caught: a skip that went through would only skip this test.
    with (
        pytest.raises(
            (pytest.skip.Exception, pytest.fail.Exception), match=r"run tests/servers/install_minio\.sh"
        ) as end,
        started(Nowhere(tmp_path)),
    ):
        pass
    assert end.type is outcome


def sleeper(folder: Path, first: str = "pass") -> Child:
    """A child that runs a line of Python, writes `up` and sleeps."""
    command = [
        sys.executable,
        "-I",
        "-c",
        f"import sys, time, signal; {first}; print('up', flush=True); time.sleep(60)",
    ]
    return Child("sleeper", command, folder=folder, log=folder / "sleeper.log", environment={})


def wait_until_up(child: Child) -> None:
    """Waits until a sleeper sleeps."""

    def up() -> None:
        if "up" not in child.log.read_text():
            raise ConnectionError("not up")

    child.wait_until_ready(up, seconds=30, retry_on=(ConnectionError,))


def refuse() -> None:
    """Is never ready."""
    raise ConnectionError("connection refused")


def test_child_that_ends_early_says_why(tmp_path: Path) -> None:
    child = sleeper(tmp_path, "print('no such disk'); sys.exit(3)")
    with pytest.raises(ChildFailed, match=r"(?s)sleeper ended with status 3 .*sleeper\.log:\nno such disk$"):
        child.wait_until_ready(refuse, seconds=30, retry_on=(ConnectionError,))
    assert child.stop() == 3


def test_child_that_is_never_ready_says_why(tmp_path: Path) -> None:
    child = sleeper(tmp_path)
    with pytest.raises(ChildFailed, match=r"was not ready after 1 s \(connection refused\)"):
        child.wait_until_ready(refuse, seconds=1, retry_on=(ConnectionError,))
    assert child.stop() == -signal.SIGTERM


def test_child_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    child = sleeper(tmp_path, "signal.signal(signal.SIGTERM, signal.SIG_IGN)")
    wait_until_up(child)
    assert child.stop(grace=0.2) == -signal.SIGKILL


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can tie a child to its parent")
def test_child_dies_with_its_parent(tmp_path: Path) -> None:
    program = f"""
import pathlib, sys
from tests.servers.test_servers import sleeper, wait_until_up
child = sleeper(pathlib.Path({str(tmp_path)!r}))
wait_until_up(child)
print(child.pid, flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(  # our own command, and no shell
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        os.kill(pid, 0)
        parent.kill()
    wait_until_gone(pid)
