"""A real Darkroom process, the way a user starts it, for tests that go through its doors."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

import urllib3

from function.demo.process import Child, free_ports, plain_environment
from function.demo.s3server import S3Server
from tests.contract.validate import validated

REPOSITORY = Path(__file__).parents[1]
MODEL = "models/shapes"
READY_WITHIN = 180.0

T = TypeVar("T")


def eventually(attempt: Callable[[], T | None], what: str, seconds: float = 60.0) -> T:
    """The first result of `attempt` that is not None and not False; fails the test with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        if result := attempt():
            return result
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.05)


class DarkroomProcess:
    """A `darkroom` command on a free port of 127.0.0.1, or on `port`, with `environment` on top of its own."""

    def __init__(
        self,
        command: Literal["render", "serve", "intake", "archive"],
        server: S3Server,
        folder: Path,
        environment: Mapping[str, str],
        *,
        program: tuple[str, ...] = ("-m", "function.cli"),
        port: int | None = None,
    ) -> None:
        self.port = port or free_ports(1)[0]
        self.url = f"http://127.0.0.1:{self.port}"
        self.http = urllib3.PoolManager(retries=False, timeout=120, maxsize=32)
        self.began = time.monotonic()
        self._child = Child(
            f"darkroom {command}",
            [sys.executable, *program, command],
            folder=REPOSITORY,
            log=folder / f"darkroom-{self.port}.log",
            environment=plain_environment()
            | server.environment
            | {
                "PORT": str(self.port),
                "DARKROOM_HOST": "127.0.0.1",
                "DARKROOM_MODEL": MODEL,
                "DARKROOM_LOG_FORMAT": "json",
            }
            | dict(environment),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def log(self) -> str:
        """Everything that the process has logged so far."""
        return self._child.log.read_text(errors="replace")

    def wait_ready(self) -> Self:
        """Return when the model is loaded and warm."""

        def ready() -> None:
            if self.probe("readiness") != 200:
                raise urllib3.exceptions.HTTPError("not ready")

        self._child.wait_until_ready(ready, seconds=READY_WITHIN, retry_on=(urllib3.exceptions.HTTPError,))
        return self

    def wait_listening(self) -> Self:
        """Return when the first probe is answered."""
        self._child.wait_until_ready(
            lambda: self.probe("liveness"), seconds=READY_WITHIN, retry_on=(urllib3.exceptions.HTTPError,)
        )
        return self

    def probe(self, which: str) -> int:
        """The status of a health probe."""
        return self.http.request("GET", f"{self.url}/health/{which}", timeout=10).status

    def terminate(self) -> None:
        """Send SIGTERM and return at once."""
        os.kill(self.pid, signal.SIGTERM)

    def stop(self, grace: float = 30) -> int:
        """End the process and return its exit code."""
        self.http.clear()
        return self._child.stop(grace)

    def wait_exit(self, seconds: float) -> int:
        """The exit code, of a process that is ending by itself."""
        return self._child._process.wait(seconds)  # noqa: SLF001  # a Child only knows how to be stopped

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        """POST raw bytes."""
        return self.http.request("POST", self.url + path, body=body, headers=dict(headers))

    def event(
        self,
        data: object,
        *,
        id: str,  # CloudEvents' own word
        source: str = "/tests",
        type: str = "dev.darkroom.image.requested",  # CloudEvents' own word
        **attributes: str,
    ) -> urllib3.BaseHTTPResponse:
        """POST a binary-mode CloudEvent with JSON data."""
        headers = {"ce-specversion": "1.0", "ce-id": id, "ce-source": source, "ce-type": type}
        headers |= {f"ce-{name}": value for name, value in attributes.items()} | {"content-type": "application/json"}
        return self.post("/", json.dumps(data).encode(), headers)

    def metric(self, name: str) -> float:
        """The sum of a counter over its labels, as /metrics shows it."""
        text = self.http.request("GET", f"{self.url}/metrics").data.decode()
        return sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE))


def darkroom(*arguments: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """A command to its end, with nothing but `environment` around it that could change what it does."""
    return subprocess.run(
        [sys.executable, "-m", "function.cli", *arguments],
        cwd=REPOSITORY,
        # Without credentials boto3 would ask the cloud's own address for them.
        env=plain_environment() | {"AWS_EC2_METADATA_DISABLED": "true"} | environment,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def sentence(done: subprocess.CompletedProcess[str]) -> str:
    """The one sentence of a command that failed as it should; but for warnings and its log, it says nothing else."""
    assert done.returncode == 1, done
    said = [line for line in done.stderr.splitlines() if not line.startswith(("warning: ", "{"))]
    assert len(said) == 1, done.stderr
    assert said[0].startswith("Error: "), done.stderr
    return said[0].removeprefix("Error: ")


def outcome_of(response: urllib3.BaseHTTPResponse) -> dict[str, Any]:
    """The outcome in a reply; fails the test if the answer is none."""
    assert response.status in (200, 202), (response.status, response.data[:300])
    assert response.headers["content-type"].startswith("application/cloudevents+json")
    return validated(json.loads(response.data))


def without_urls(event: dict[str, Any]) -> dict[str, Any]:
    """The event as it is recorded: URLs and their ends are added at each telling."""
    images = [_unlinked(image) for image in event["data"].get("images", [])]
    return {**event, "data": {**event["data"], **({"images": images} if images else {})}}


def _unlinked(file: dict[str, Any]) -> dict[str, Any]:
    plain = {name: value for name, value in file.items() if name not in ("url", "url_expires_at")}
    return plain | {name: [_unlinked(one) for one in plain[name]] for name in ("renditions",) if name in plain}
