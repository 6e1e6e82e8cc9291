"""SIGTERM to commands that end by themselves, as the first process of a container, which is deaf unless it listens."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from function.demo.process import free_ports, plain_environment
from function.demo.s3server import S3Server
from tests.darkroom import REPOSITORY, eventually
from tests.process.confined import FIRST, UNSHARED
from tests.receiver import Delivery, answering
from tests.stores import new_bucket

pytestmark = pytest.mark.usefixtures("namespaces")

LETTER: Final = {"specversion": "1.0", "id": "one", "source": "/tests", "type": "com.example.lost", "data": {}}


class Container:
    """A command as the first process there is."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def terminate(self) -> None:
        parent = self._process.pid
        (pid,) = Path(f"/proc/{parent}/task/{parent}/children").read_text("ascii").split()
        subprocess.run(["kill", f"-{signal.SIGTERM}", pid], check=True)

    def ends(self) -> tuple[int, str]:
        """Its exit code and the last line of what it said."""
        _, said = self._process.communicate(timeout=60)
        return self._process.returncode, said.splitlines()[-1]


@contextmanager
def container(*arguments: str, **environment: str) -> Iterator[Container]:
    process = subprocess.Popen(
        [*UNSHARED, *FIRST, sys.executable, "-m", "function.cli", *arguments],
        cwd=REPOSITORY,
        env=plain_environment() | {"AWS_EC2_METADATA_DISABLED": "true"} | environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield Container(process)
        finally:
            process.kill()


@pytest.fixture
def silence() -> Iterator[socket.socket]:
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(120)
        yield listening


@pytest.mark.parametrize("command", ["replay", "doctor"])
def test_a_command_that_waits_ends(command: str, silence: socket.socket, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{silence.getsockname()[1]}"
    (tmp_path / "letter.json").write_text(json.dumps(LETTER))
    arguments = {
        "replay": ("replay", str(tmp_path / "letter.json"), "--to", url),
        "doctor": ("doctor", "--only", "store", "--patience", "1000"),
    }[command]
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1"}
    with container(*arguments, AWS_ENDPOINT_URL_S3=url, **keys) as running:
        connection, _ = silence.accept()
        with connection:
            running.terminate()
            assert running.ends() == (1, "Aborted!")


def test_a_sweep_stops_between_two_files(seaweedfs: S3Server) -> None:
    """What is under way is announced and noted; the rest is left, and the next sweep announces that alone."""
    prompts, images = new_bucket(seaweedfs, "prompts"), new_bucket(seaweedfs, "images")
    files = {f"{number}.json" for number in range(3)}
    for name in files:
        seaweedfs.client.put_object(Bucket=prompts, Key=name, Body=b"{}")
    (port,) = free_ports(1)
    announced: list[str] = []
    go_on = threading.Event()

    def answer(delivery: Delivery) -> int:
        announced.append(json.loads(delivery.body)["data"]["object"]["key"])
        assert go_on.wait(60)
        return 204

    environment = seaweedfs.environment | {
        "DARKROOM_PROMPT_BUCKETS": prompts,
        "DARKROOM_IMAGE_BUCKET": images,
        "DARKROOM_FORGOTTEN_AFTER": "1e-3",
        "K_SINK": f"http://127.0.0.1:{port}",
    }
    with answering(port, answer):
        with container("sweep", **environment) as running:
            eventually(lambda: announced, "a file is announced", 120)
            running.terminate()
            go_on.set()
            assert running.ends() == (1, "Error: told to stop; what is left is for the next sweep")
        assert len(announced) == 1
        with container("sweep", **environment) as running:
            assert running.ends()[0] == 0
    assert sorted(announced) == sorted(files), "each once"
