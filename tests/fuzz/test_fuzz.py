"""Whatever arrives at the doors is answered as documented: no crash, no 5xx, nothing repeated, nothing kept."""

from __future__ import annotations

import re
import secrets
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from function.demo.process import free_ports
from function.demo.s3server import S3Server
from tests.darkroom import DarkroomProcess
from tests.fuzz.fuzzing import Fuzzer
from tests.fuzz.mutant import MUTANTS, Mutant, harmless
from tests.intake.lean_sink import lean_sink
from tests.sizing import sized
from tests.stores import new_bucket

TOKEN = secrets.token_hex(16)
DRAWING = ("-m", "tests.drawing")
COMMON = {"DARKROOM_PROMPT_BUCKETS": "prompts"}
GROWTH = 20.0  # MB


@pytest.fixture
def sink() -> Iterator[str]:
    (port,) = free_ports(1)
    with lean_sink(port):
        yield f"http://127.0.0.1:{port}/"


def fuzz(fuzzer: Fuzzer, count: int) -> None:
    began = time.monotonic()
    fuzzer.run(count)
    rate = count / (time.monotonic() - began)
    print(f"{count} inputs, {rate:.0f}/s, {dict(fuzzer.seen)}, {fuzzer.grown:.1f} MB more")
    assert sum(fuzzer.seen.values()) >= count
    assert fuzzer.process.probe("readiness") == 200
    assert "answer.crashed" not in fuzzer.process.log
    assert "Traceback" not in fuzzer.process.log
    assert fuzzer.grown < GROWTH, f"{fuzzer.grown:.1f} MB were kept"


@pytest.mark.chaos
def test_render(store: S3Server, tmp_path: Path) -> None:
    settings = COMMON | {"DARKROOM_IMAGE_BUCKET": new_bucket(store, "images")}
    with DarkroomProcess("render", store, tmp_path, settings, program=DRAWING) as process:
        fuzz(Fuzzer(process.wait_ready(), ("/",)), sized(300, 80_000))


@pytest.mark.chaos
def test_intake(store: S3Server, tmp_path: Path, sink: str) -> None:
    settings = COMMON | {"DARKROOM_IMAGE_BUCKET": new_bucket(store, "images"), "K_SINK": sink}
    with DarkroomProcess("intake", store, tmp_path, settings | {"DARKROOM_DOOR_TOKEN": TOKEN}) as process:
        fuzz(Fuzzer(process.wait_ready(), ("/", "/drop"), TOKEN), sized(300, 80_000))


@pytest.mark.chaos
def test_standalone(store: S3Server, tmp_path: Path) -> None:
    settings = COMMON | {"DARKROOM_IMAGE_BUCKET": new_bucket(store, "images"), "DARKROOM_DOOR_TOKEN": TOKEN}
    with DarkroomProcess("serve", store, tmp_path, settings, program=DRAWING) as process:
        fuzz(Fuzzer(process.wait_ready(), ("/", "/drop"), TOKEN), sized(200, 40_000))


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_faulty_server_is_found(store: S3Server, tmp_path: Path, mutant: Mutant) -> None:
    # A server that died is found by the connection that it refuses.
    with pytest.raises((AssertionError, OSError, ExceptionGroup)) as found:
        fuzz_mutant(store, tmp_path, mutant)
    assert re.search(MUTANTS[mutant], "".join(traceback.format_exception(found.value)))


def test_a_server_that_is_only_wrapped_is_not_found(store: S3Server, tmp_path: Path) -> None:
    fuzz_mutant(store, tmp_path, harmless)


def fuzz_mutant(store: S3Server, folder: Path, mutant: Mutant) -> None:
    settings = COMMON | {"DARKROOM_IMAGE_BUCKET": new_bucket(store, "images")}
    program = ("-m", "tests.fuzz.mutant", mutant.__name__)
    with DarkroomProcess("render", store, folder, settings, program=program) as process:
        fuzz(Fuzzer(process.wait_ready(), ("/",)), 300)
