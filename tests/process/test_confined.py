"""No memory, no disk, nowhere to write: what can be done is done, the rest is 503, and nothing half-written is kept."""

from __future__ import annotations

import hashlib
import io
import json
import resource
import subprocess
import sys
import tempfile
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import urllib3
from PIL import Image

from function.demo.s3server import S3Server
from tests.darkroom import DarkroomProcess, eventually, outcome_of
from tests.process.conftest import Launch, Running
from tests.process.measure import memory
from tests.sizing import FULL, sized
from tests.stores import new_bucket
from tests.watch import written_files

NOWHERE = {"TMPDIR": "/nonexistent", "HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"}
CONFINED = ("-m", "tests.process.confined")
REAL, DRAWING = "function.cli", "tests.drawing"
PROMPT = {"prompt": "a red star on a white background", "num_inference_steps": 2}
LARGE = PROMPT | {"width": 1024, "height": 1024, "num_images": 4}


def whole(running: Running) -> Counter[str]:
    """How many objects there are of each kind, each of them whole; fails the test if one is not."""
    found: Counter[str] = Counter()
    for key in running.keys(""):
        answer = running.server.client.get_object(Bucket=running.images, Key=key)
        body = answer["Body"].read()
        if key.startswith("images/"):
            assert hashlib.sha256(body).hexdigest() == answer["Metadata"]["sha256"], key
            Image.open(io.BytesIO(body)).load()
        else:
            json.loads(body)
        if key.startswith("records/"):
            for image in json.loads(body)["outcome"]["data"].get("images", ()):
                stored = running.server.client.get_object(Bucket=running.images, Key=image["key"])["Body"].read()
                assert hashlib.sha256(stored).hexdigest() == image["sha256"], key
        found[key.split("/")[0]] += 1
    return found


@pytest.mark.parametrize("how", ["full", "readonly"])
def test_a_disk_that_takes_nothing(launch: Launch, request: pytest.FixtureRequest, how: str) -> None:
    """Everything works as ever, from the start to the end."""
    if how == "readonly":
        request.getfixturevalue("namespaces")
    running = launch(*CONFINED, how, REAL, **NOWHERE)
    process = running.process.wait_ready()
    outcome_of(process.event(PROMPT, id="1"))
    outcome_of(process.event({"prompt": ""}, id="2"))
    assert whole(running) == {"claims": 1, "images": 1, "records": 2}
    assert process.stop() == 0


def test_nothing_is_written_to_disk(seaweedfs: S3Server, tmp_path: Path) -> None:
    """By what Python opens, and by what the kernel counts, from the start to the end of a render."""
    images = new_bucket(seaweedfs, "images")
    # The log, which a container would hand to its runtime through a pipe, goes into memory.
    with tempfile.TemporaryDirectory(dir="/dev/shm") as memory:  # no secret in it, and gone at the end
        watched = {"WRITES_LOG": f"{memory}/writes", "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(tmp_path)}
        settings = {"DARKROOM_IMAGE_BUCKET": images, "HOME": str(tmp_path)} | watched
        with DarkroomProcess("render", seaweedfs, Path(memory), settings, program=("-m", REAL)) as process:
            process.wait_ready()
            outcome_of(process.event(PROMPT, id="1"))
            outcome_of(process.event(PROMPT | {"num_images": 2}, id="2"))
            outcome_of(process.event({"prompt": ""}, id="3"))
            counted = dict(line.split(": ") for line in Path(f"/proc/{process.pid}/io").read_text().splitlines())
        written = written_files(Path(memory) / "writes")
    print(f"{counted['write_bytes']} bytes written to disk, {written}")
    assert counted["write_bytes"] == "0"
    assert written == []
    assert list(tmp_path.iterdir()) == []


def test_what_is_written_is_seen(tmp_path: Path) -> None:
    file, folder = str(tmp_path / "a"), str(tmp_path / "b")
    program = f"import os; open({file!r}, 'a').close(); os.mkdir({folder!r}); open('/dev/null', 'w').close()"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(Path(__file__).parents[1] / "watch"), "WRITES_LOG": str(tmp_path / "log")},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert written_files(tmp_path / "log") == [file, folder]


def confine(process: DarkroomProcess, spare: int) -> None:
    """Let it have `spare` MiB of address space beyond what it has when it is ready."""
    limit = memory(process.pid, "VmSize") + (spare << 20)
    resource.prlimit(process.pid, resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))


@pytest.mark.chaos
@pytest.mark.parametrize("spare", [12, *sized([], [4, 40])])
def test_no_memory(launch: Launch, spare: int) -> None:
    """Three times four pictures of 3 MB, while others ask too; with memory again, all are there."""
    # Or glibc has set aside more address space for each thread than the pictures need.
    running = launch("-m", DRAWING, MALLOC_ARENA_MAX="1")
    process = running.process.wait_ready()
    confine(process, spare)
    seen: Counter[int] = Counter()
    with ThreadPoolExecutor(3) as others:
        for number in range(3):
            asked = [others.submit(process.event, {"prompt": ""}, id=str(uuid.uuid4())) for _ in range(2)]
            asked.append(others.submit(process.event, LARGE, id=f"{spare}-{number}"))
            seen.update(answer.result(timeout=120).status for answer in asked)
        assert process.probe("liveness") == 200
    kept = whole(running)
    resource.prlimit(process.pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    for number in range(3):
        event = outcome_of(process.event(LARGE, id=f"{spare}-{number}"))
        assert event["type"] == "dev.darkroom.image.completed"
    print(f"{spare} MiB to spare: {dict(seen)}, {dict(kept)}")
    assert set(seen) <= {200, 429, 503}
    assert whole(running)["images"] == 12
    assert process.stop() == 0


def settled(process: DarkroomProcess, event: str) -> int:
    """The answer to large pictures, once it is no 409 on behalf of a process that was aborted."""

    def answer() -> int | None:
        status = process.event(LARGE, id=event).status
        return None if status == 409 else status

    return eventually(answer, "an answer that is not 409", 120)


@pytest.mark.chaos
@pytest.mark.skipif(not FULL, reason="takes minutes; make chaos runs it")
@pytest.mark.parametrize("spare", [16, 64])
def test_no_memory_for_the_real_model(launch: Launch, spare: int) -> None:
    """Native code may abort the process; it is started again, as by a cluster, and each prompt has its outcome."""
    settings = {"MALLOC_ARENA_MAX": "1", "DARKROOM_LEASE": "6"}
    running = launch("-m", REAL, **settings)
    settings["DARKROOM_IMAGE_BUCKET"] = running.images
    process = running.process.wait_ready()
    confine(process, spare)
    seen: Counter[str] = Counter()
    for number in range(3):
        status = 0
        while not status:
            try:
                status = settled(process, f"{spare}-{number}")
                seen[str(status)] += 1
            except urllib3.exceptions.HTTPError:
                seen[f"ended with {process.wait_exit(30)}"] += 1
                process = launch("-m", REAL, **settings).process.wait_ready()
                confine(process, spare)
            whole(running)
        assert status in (200, 503)
    resource.prlimit(process.pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    told = [outcome_of(process.event(LARGE, id=f"{spare}-{number}"))["data"].get("code") for number in range(3)]
    print(f"{spare} MiB to spare: {dict(seen)}, {dict(whole(running))}, then {told}")
    # What did not fit even in small pieces is recorded as such, and so is what has ended three processes.
    assert set(told) <= {None, "out_of_memory", "attempts_exhausted"}
    assert whole(running)["images"] >= 4 * told.count(None)
    assert process.stop() == 0
