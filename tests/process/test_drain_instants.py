"""SIGTERM at many instants of a render: all of them committed and answered, and nothing outlives the grace."""

from __future__ import annotations

import os
import queue
import signal
import time
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
import urllib3

from function.demo.process import free_ports
from tests.darkroom import DarkroomProcess, eventually, outcome_of, without_urls
from tests.drawing import renders
from tests.process.conftest import Launch, Running
from tests.receiver import Delivery, receiver
from tests.sizing import sized

DRAWING = ("-m", "tests.drawing")
PROMPT = {"prompt": "a red star on a white background"}
INSTANTS = sized(4, 20)
SECONDS = sized(2.0, 10.0)  # of a render
STEPS = 50
GRACE = 30.0
# What `models/shapes` takes for these in seconds depends on the machine: enough that the signal comes in between.
LONG = PROMPT | {"num_inference_steps": 150}


@dataclass(frozen=True)
class Seen:
    """What one process did after SIGTERM, in seconds since then."""

    not_ready: float
    answered: float
    ended: float
    refused: bool


@pytest.fixture
def sink() -> Iterator[tuple[str, queue.Queue[Delivery]]]:
    (port,) = free_ports(1)
    with receiver(port) as deliveries:
        yield f"http://127.0.0.1:{port}/broker", deliveries


def drained(running: Running, prompt: object, after: float, sink: queue.Queue[Delivery] | None) -> Seen:
    """SIGTERM `after` seconds of a render, and two more signals; fails the test unless all is done as promised."""
    process, id_ = running.process, str(uuid.uuid4())
    with ThreadPoolExecutor(1) as sender:
        sent = sender.submit(process.event, prompt, id=id_)
        key = running.claimed()
        time.sleep(after)
        process.terminate()
        began = time.monotonic()
        while ready(process):
            assert time.monotonic() < began + 30, "readiness still answers 200 half a minute after SIGTERM"
        not_ready = time.monotonic() - began
        for number in (signal.SIGTERM, signal.SIGINT):
            os.kill(process.pid, number)
        refused = None if sent.done() else status_of_another(process, f"{id_}-late")
        answer = sent.result(timeout=300)
        answered = time.monotonic() - began
    assert process.wait_exit(GRACE) == 0
    ended = time.monotonic() - began

    assert refused in (503, None)
    assert answer.status == 200, answer.data
    record = running.stored(f"records/{key}.json")["outcome"]
    assert record["type"] == "dev.darkroom.image.completed"
    assert running.stored(f"claims/{key}/1")["ended"] == "committed"
    assert running.keys("claims/") == [f"claims/{key}/1"], "the refused request left a claim"
    if sink is None:
        assert without_urls(outcome_of(answer)) == record
    else:
        assert (answer.data, running.keys("told/")) == (b"", [f"told/{key}"])
    return Seen(not_ready, answered, ended, refused=refused is not None)


def ready(process: DarkroomProcess) -> bool:
    """Whether it says that it is ready; a process that is gone is not."""
    try:
        return process.probe("readiness") == 200
    except urllib3.exceptions.HTTPError:
        return False


def status_of_another(process: DarkroomProcess, id: str) -> int | None:
    """The answer to a request that comes after SIGTERM, None if the process was gone by then."""
    try:
        return process.event(PROMPT, id=id).status
    except urllib3.exceptions.HTTPError:
        return None


@pytest.mark.chaos
def test_at_every_instant(
    launch: Launch, allowance: float, tmp_path: Path, sink: tuple[str, queue.Queue[Delivery]]
) -> None:
    """Every second one tells its outcome to a sink, and one draws with the real pipeline."""
    url, told = sink
    runs: list[tuple[Running, Mapping[str, object], float]] = []
    for number in range(INSTANTS):
        settings = {"DARKROOM_DRAIN_GRACE": str(GRACE)} | ({"K_SINK": url} if number % 2 else {})
        if number == 0:
            runs.append((launch(**settings), LONG, 0.2))
            continue
        settings |= {"DRAWING_SECONDS": str(SECONDS), "DRAWING_STEPS": str(STEPS)}
        settings["DRAWING_LOG"] = str(tmp_path / f"{number}.log")
        runs.append((launch(*DRAWING, **settings), PROMPT, SECONDS * (number - 0.5) / (INSTANTS - 1)))
    for running, _, _ in runs:
        running.process.wait_ready()
    with ThreadPoolExecutor(len(runs)) as signals:
        every = [
            signals.submit(drained, running, prompt, after, told if number % 2 else None)
            for number, (running, prompt, after) in enumerate(runs)
        ]
        seen = [each.result() for each in every]
    print(
        f"SIGTERM at {len(seen)} instants of a render of {SECONDS:g} s: all committed, "
        f"readiness 503 after at most {max(each.not_ready for each in seen) * 1000:.0f} ms, "
        f"exit at most {max(each.ended - each.answered for each in seen):.2f} s after the answer"
    )
    assert max(each.not_ready for each in seen) < sized(1.0, 0.1) * allowance
    assert max(each.ended for each in seen) <= GRACE
    assert sum(each.refused for each in seen) >= INSTANTS / 2, "hardly anybody came after SIGTERM"
    assert max(each.ended - each.answered for each in seen) < 2 * allowance
    assert told.qsize() == INSTANTS // 2
    assert [len(renders(tmp_path / f"{number}.log")) for number in range(1, INSTANTS)] == [1] * (INSTANTS - 1)


def test_a_render_beyond_the_grace_is_handed_over(launch: Launch, allowance: float) -> None:
    """The attempt ends uncounted, and another process need not wait for the lease to take over."""
    grace = 6.0
    slow = {"DRAWING_SECONDS": "120", "DRAWING_STEPS": "1200", "DARKROOM_DRAIN_GRACE": str(grace)}
    first = launch(*DRAWING, **slow)
    second = launch(*DRAWING, DARKROOM_IMAGE_BUCKET=first.images)
    for running in (first, second):
        running.process.wait_ready()
    id_ = str(uuid.uuid4())
    with ThreadPoolExecutor(1) as sender:
        cut = sender.submit(first.process.event, PROMPT, id=id_)
        key = first.claimed()
        first.process.terminate()
        began = time.monotonic()
        answer = cut.result(timeout=60)
        assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    assert first.process.wait_exit(60) == 0
    ended = time.monotonic() - began
    print(f"a grace of {grace:g} s: exit after {ended:.2f} s")
    assert grace / 2 < ended < grace * allowance
    claim = first.stored(f"claims/{key}/1")
    assert (claim["ended"], claim["counts"]) == ("Draining", False)

    began = time.monotonic()
    outcome_of(second.process.event(PROMPT, id=id_))
    print(f"taken over in {time.monotonic() - began:.2f} s")
    assert first.stored(f"claims/{key}/2")["ended"] == "committed"


def test_a_step_beyond_the_grace_is_cut(launch: Launch, allowance: float) -> None:
    """What never looks at the clock cannot hold up the exit; the attempt counts as dead."""
    grace = 2.0
    stuck = {"DRAWING_SECONDS": "120", "DRAWING_STEPS": "1", "DARKROOM_DRAIN_GRACE": str(grace)}
    running = launch(*DRAWING, **stuck)
    process = running.process.wait_ready()
    with ThreadPoolExecutor(1) as sender:
        sent = sender.submit(process.event, PROMPT, id=str(uuid.uuid4()))
        key = running.claimed()
        process.terminate()
        began = time.monotonic()
        assert process.wait_exit(60) == 0
        ended = time.monotonic() - began
        assert sent.exception(timeout=60), "a render without an end was answered"
    print(f"a grace of {grace:g} s, stuck: exit after {ended:.2f} s")
    assert grace < ended < grace + sized(2.0, 0.5) * allowance
    assert "server.drain_too_long" in process.log
    claim = eventually(lambda: running.stored(f"claims/{key}/1"), "the claim of the render that was cut")
    assert "ended" not in claim
