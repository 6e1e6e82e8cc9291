"""SIGTERM: what runs is finished, what comes is refused, probes say so at once, and the exit code is 0."""

from __future__ import annotations

import time
import uuid
from concurrent.futures import ThreadPoolExecutor

from tests.darkroom import DarkroomProcess, outcome_of, without_urls
from tests.process.conftest import Launch

# Seconds of rendering even on a fast machine.
LONG = {"prompt": "a red star on a white background", "num_inference_steps": 150}


def first_refusal(process: DarkroomProcess, since: float) -> float:
    """Seconds from `since` to the first readiness that is not 200."""
    while process.probe("readiness") == 200:
        assert time.monotonic() < since + 30, "readiness still answers 200 half a minute after SIGTERM"
    return time.monotonic() - since


def test_in_mid_render(launch: Launch, allowance: float) -> None:
    running = launch()
    process = running.process.wait_ready()
    with ThreadPoolExecutor(1) as sender:
        answer = sender.submit(process.event, LONG, id=str(uuid.uuid4()))
        key = running.claimed()

        process.terminate()
        refused_after = first_refusal(process, time.monotonic())
        print(f"readiness 503 after {refused_after * 1000:.1f} ms")
        assert refused_after < 0.1 * allowance
        process.terminate()
        probes = {which: process.probe(which) for which in ("startup", "readiness", "liveness")}
        assert probes == {"startup": 503, "readiness": 503, "liveness": 200}
        refused = process.event(LONG, id=str(uuid.uuid4()))
        assert (refused.status, refused.headers["retry-after"]) == (503, "5")
        assert refused.headers["connection"] == "close", "the sender may keep a connection that ends with the process"
        assert not answer.done(), "the render was over too early to prove anything"

        event = outcome_of(answer.result(timeout=300))
    answered = time.monotonic()
    assert process.wait_exit(20) == 0
    print(f"exit {time.monotonic() - answered:.2f} s after the answer")

    assert event["data"]["key"] == key
    assert running.stored(f"records/{key}.json")["outcome"] == without_urls(event)
    assert running.stored(f"claims/{key}/1")["ended"] == "committed"
    assert running.keys("claims/") == [f"claims/{key}/1"], "the refused request left a claim"


def test_idle(launch: Launch, allowance: float) -> None:
    process = launch().process.wait_ready()
    ended_after = exit_seconds(process)
    print(f"idle: exit {ended_after:.2f} s after SIGTERM")
    assert ended_after < 2 * allowance


def test_while_the_model_is_loading(launch: Launch, allowance: float) -> None:
    running = launch()
    process = running.process.wait_listening()
    assert process.probe("readiness") == 503
    ended_after = exit_seconds(process)
    print(f"loading: exit {ended_after:.2f} s after SIGTERM")
    assert ended_after < 2 * allowance
    assert "model.loaded" not in process.log, "the model was there too early to prove anything"


def exit_seconds(process: DarkroomProcess) -> float:
    """Sends SIGTERM; the seconds to the end, which must have the code 0."""
    began = time.monotonic()
    process.terminate()
    assert process.wait_exit(60) == 0
    return time.monotonic() - began
