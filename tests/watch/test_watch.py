"""The watch sees what leaves this machine, in a plain process and in a real server, and nothing else."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import urllib3

from function.demo.s3server import S3Server
from tests.darkroom import DarkroomProcess, eventually
from tests.stores import new_bucket
from tests.watch import foreign_connections
from tests.watch.sitecustomize import is_foreign

# Addresses for documentation, which lead nowhere (RFC 5737), and a name that nobody has (RFC 6761).
NOWHERE = "192.0.2.1"
NOBODY = "nobody.invalid"


def seen(log: Path) -> list[tuple[str, str]]:
    lines = [json.loads(line) for line in foreign_connections(log)]
    return [(line["event"], line["host"]) for line in lines]


@pytest.mark.parametrize(
    ("program", "found"),
    [
        (f"socket.create_connection(('{NOWHERE}', 9), timeout=0.1)", ("socket.connect", NOWHERE)),
        (f"socket.socket(type=socket.SOCK_DGRAM).sendto(b'', ('{NOWHERE}', 9))", ("socket.sendto", NOWHERE)),
        (f"socket.getaddrinfo('{NOBODY}', 80)", ("socket.getaddrinfo", NOBODY)),
        (f"socket.gethostbyname('{NOBODY}')", ("socket.gethostbyname", NOBODY)),
    ],
)
def test_a_program_that_leaves_this_machine(tmp_path: Path, program: str, found: tuple[str, str]) -> None:
    command = [sys.executable, "-c", f"import socket; {program}"]
    subprocess.run(
        command, env=os.environ | {"FOREIGN_LOG": str(tmp_path / "log")}, check=False, timeout=60, capture_output=True
    )
    assert found in seen(tmp_path / "log")


def test_a_server_that_leaves_this_machine(seaweedfs: S3Server, tmp_path: Path) -> None:
    log = tmp_path / "log"
    settings = {
        "FOREIGN_LOG": str(log),
        "K_SINK": f"http://{NOWHERE}:9/",
        "DARKROOM_IMAGE_BUCKET": new_bucket(seaweedfs),
    }
    with DarkroomProcess("render", seaweedfs, tmp_path, settings, program=("-m", "tests.drawing")) as process:
        process.wait_ready()
        assert seen(log) == [], "the store is on this machine"
        process.http = urllib3.PoolManager(retries=False, timeout=1)
        # Where packets are dropped the answer takes as long as the sink is waited for.
        with suppress(urllib3.exceptions.TimeoutError):
            process.event({"prompt": ""}, id="1")
        eventually(lambda: ("socket.connect", NOWHERE) in seen(log), "the sink was connected to")


def test_what_stays_on_this_machine(tmp_path: Path) -> None:
    for host in ("127.0.0.1", "127.0.0.53", "::1", "localhost", b"localhost", "", None, "0.0.0.0"):  # noqa: S104
        assert not is_foreign(host), host
    for host in (NOWHERE, NOBODY, "10.0.0.1", "169.254.169.254", "fe80::1%eth0", "localhost.example", b"example"):
        assert is_foreign(host), host
    with socket.create_server(("127.0.0.1", 0)) as server:
        command = f"import socket; socket.create_connection({server.getsockname()})"
        subprocess.run(
            [sys.executable, "-c", command],
            env=os.environ | {"FOREIGN_LOG": str(tmp_path / "log")},
            check=True,
            timeout=60,
        )
    assert seen(tmp_path / "log") == []
