"""Intake in an environment of its own: what the base dependencies alone can do, how soon, and in how much memory."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import venv
from pathlib import Path

import pytest

from events import IMAGE_FAILED, IMAGE_REQUESTED, PROMPTS_DROPPED
from function.demo.process import free_ports
from function.demo.s3server import S3Server
from tests.darkroom import REPOSITORY, DarkroomProcess
from tests.intake.conftest import event_of
from tests.process.measure import allowance, peak_memory
from tests.receiver import receiver
from tests.stores import new_bucket

LOCK = REPOSITORY / "requirements" / "intake.lock"
DRAWS = ("accelerate", "diffusers", "huggingface_hub", "isal", "numpy", "PIL", "safetensors", "torch", "transformers")
READY_WITHIN = 1.5  # seconds
PEAK = 120e6  # bytes
STARTS = 3
# The test's own interpreter becomes that of the environment, in the same process.
BECOME = ("-I", "-S", "-c", "import os, sys; os.execv(sys.argv[1], sys.argv[1:])")


@pytest.fixture(scope="module")
def python() -> Path:
    """The interpreter of an environment with intake's lock and nothing else, built once for all runs."""
    pinned = LOCK.read_bytes() + sys.version.encode()
    folder = REPOSITORY / ".cache" / "intake" / hashlib.sha256(pinned).hexdigest()[:16]
    found = folder / "bin" / "python"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        install = ["install", "--quiet", "--no-deps", "--require-hashes", "--requirement", str(LOCK)]
        run = subprocess.run(
            [found, "-I", "-m", "pip", *install], capture_output=True, text=True, timeout=600, check=False
        )
        assert run.returncode == 0, f"pip failed:\n{run.stdout}\n{run.stderr}"
        (folder / "complete").touch()
    return found


def run(python: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("DARKROOM_", "K_", "PYTHON"))
    }
    return subprocess.run(
        [python, *arguments],
        cwd=REPOSITORY,
        env=inherited,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_what_draws_is_not_there(python: Path) -> None:
    program = f"import importlib.util as u, json; print(json.dumps([n for n in {DRAWS} if u.find_spec(n)]))"
    found = run(python, "-c", program)
    assert (found.stdout, found.stderr) == ("[]\n", "")


def test_everything_declared_is_there(python: Path) -> None:
    found = run(python, "-m", "pip", "check")
    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize("command", [["--help"], ["config", "--check"], ["schema", "prompt"]])
def test_the_command_line_needs_nothing_more(python: Path, command: list[str]) -> None:
    done = run(python, "-m", "function.cli", *command)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("command", ["render", "demo"])
def test_what_needs_more_says_what(python: Path, command: str) -> None:
    done = run(python, "-m", "function.cli", command)
    assert done.returncode == 1
    assert "install Darkroom with its extra [render]" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_prompt_file_is_answered_soon_and_in_little_memory(python: Path, seaweedfs: S3Server, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    prompts, images = new_bucket(seaweedfs, "prompts"), new_bucket(seaweedfs, "images")
    environment = {
        "DARKROOM_PROMPT_BUCKETS": prompts,
        "DARKROOM_IMAGE_BUCKET": images,
        "K_SINK": f"http://127.0.0.1:{port}/broker",
    }
    lines = [
        {"prompt": "a red star", "runs": 2},
        {"prompt": ""},
        {"prompt": "a {shape}", "matrix": {"shape": ["ring"]}},
    ]
    body = b"\n".join(json.dumps(line).encode() for line in lines)
    limit = READY_WITHIN * allowance()
    ready, peaks = [], []
    for start in range(STARTS):
        program = (*BECOME, str(python), "-m", "function.cli")
        with (
            receiver(port) as deliveries,
            DarkroomProcess("intake", seaweedfs, tmp_path, environment, program=program) as process,
        ):
            process.wait_ready()
            ready.append(time.monotonic() - process.began)
            # A file of its own each time: what is recorded is not told again.
            key = f"in/mixed-{start}.jsonl"
            seaweedfs.client.put_object(Bucket=prompts, Key=key, Body=body)
            dropped = {"object": {"bucket": prompts, "key": key}}
            assert process.event(dropped, id=str(start), type=PROMPTS_DROPPED).status == 202
            events = [event_of(deliveries.get(timeout=1)) for _ in range(4)]
            assert deliveries.empty()
            peaks.append(peak_memory(process.pid))
        assert sorted(event["type"] for event in events) == [IMAGE_FAILED, *[IMAGE_REQUESTED] * 3]
    seconds = ", ".join(f"{each:.2f}" for each in ready)
    print(f"ready after {seconds} s (limit {limit:g}); at most {max(peaks) / 1e6:.0f} MB")
    assert min(ready) < limit
    assert max(peaks) < PEAK
