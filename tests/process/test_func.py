"""The same application under `func-python`, the middleware that the func CLI puts around `function.new`."""

from __future__ import annotations

import itertools
import json
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
import urllib3

from tests.darkroom import eventually, outcome_of, without_urls
from tests.process.conftest import Launch, Running
from tests.process.measure import Prober, forget_peak, peak_memory, send_until_answered
from tests.sizing import sized

# As the CLI's scaffolding has it in service/main.py; the middleware listens on LISTEN_ADDRESS and nowhere else.
MAIN = """
import os
os.environ["LISTEN_ADDRESS"] = "127.0.0.1:" + os.environ["PORT"]
from func_python.http import serve
from function import new
serve(new)
"""
SHORT = {"prompt": "a green cross on a black background", "num_inference_steps": 2}
LONG = {"prompt": "a red star on a white background", "num_inference_steps": 150}
POST = b"POST / HTTP/1.1\r\nHost: darkroom\r\n"


@pytest.fixture(scope="module")
def func(launch: Launch) -> Running:
    running = launch("-c", MAIN)
    running.process.wait_ready()
    return running


def test_an_event_is_answered_with_its_completion(func: Running) -> None:
    id_ = str(uuid.uuid4())
    event = outcome_of(func.process.event(SHORT, id=id_))
    assert event["type"] == "dev.darkroom.image.completed"
    assert func.stored(f"records/{event['data']['key']}.json")["outcome"] == without_urls(event)
    assert without_urls(outcome_of(func.process.event(SHORT, id=id_))) == without_urls(event)


def test_a_chunked_body_is_read_whole(func: Running) -> None:
    event = {"specversion": "1.0", "id": str(uuid.uuid4()), "source": "/tests", "data": SHORT}
    event["type"] = "dev.darkroom.image.requested"
    body = json.dumps(event).encode()
    pieces = (body[start : start + 10] for start in range(0, len(body), 10))
    headers = {"content-type": "application/cloudevents+json"}
    outcome_of(func.process.http.request("POST", func.process.url, body=pieces, headers=headers, chunked=True))


def test_what_is_no_event_is_refused(func: Running) -> None:
    answer = func.process.post("/", b"{}", {"content-type": "application/json"})
    assert (answer.status, answer.data) == (400, b"not a CloudEvent 1.0 with JSON data\n")
    assert func.process.event({}, id="1", type="boson.fn").status == 204


@pytest.mark.parametrize("how", [b"Content-Length: %d\r\n\r\n" % (200 << 20), b"Transfer-Encoding: chunked\r\n\r\n"])
def test_a_body_over_the_limit_is_not_read_on(func: Running, how: bytes) -> None:
    block = b"x" * 65536
    if b"chunked" in how:
        block = b"10000\r\n" + block + b"\r\n"
    forget_peak(func.process.pid)
    before = peak_memory(func.process.pid)
    answer, sent = send_until_answered(func.process.port, POST + how, itertools.repeat(block, 3200), pause=0.05)
    grown = peak_memory(func.process.pid) - before
    print(f"413 after {sent} bytes, {grown / 1e6:.1f} MB more")
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert sent <= 2 << 20
    assert grown < 16e6


@pytest.mark.chaos
def test_during_a_render_others_are_answered(func: Running, allowance: float) -> None:
    with ThreadPoolExecutor(1) as sender, Prober(func.process.port) as prober:
        before = func.process.metric("darkroom_renders_total")
        answer = sender.submit(func.process.event, LONG, id=str(uuid.uuid4()))
        eventually(lambda: func.process.metric("darkroom_renders_total") > before, "a render", 120)
        assert func.process.event(SHORT, id=str(uuid.uuid4())).status == 429
        assert not answer.done(), "the render was over too early to prove anything"
        outcome_of(answer.result(timeout=300))
    print(f"render: the longest of {len(prober.seconds)} probes took {prober.longest * 1000:.0f} ms")
    assert prober.longest < sized(1, 0.25) * allowance


def test_at_sigterm_the_render_commits_even_if_its_answer_is_cut(launch: Launch) -> None:
    running = launch("-c", MAIN)
    process = running.process.wait_ready()

    def send() -> int | str:
        try:
            return process.event(LONG, id=str(uuid.uuid4())).status
        except urllib3.exceptions.HTTPError as error:
            return type(error).__name__

    with ThreadPoolExecutor(1) as sender:
        answer = sender.submit(send)
        key = running.claimed()
        assert not running.keys("records/")
        began = time.monotonic()
        process.terminate()
        assert process.wait_exit(300) == 0
        print(f"SIGTERM: the answer is {answer.result()}, exit after {time.monotonic() - began:.1f} s")
    assert running.stored(f"records/{key}.json")["outcome"]["type"] == "dev.darkroom.image.completed"
    assert running.stored(f"claims/{key}/1")["ended"] == "committed"


def test_wrong_settings_end_the_process(launch: Launch) -> None:
    process = launch("-c", MAIN, DARKROOM_LEASE="soon").process
    assert process.wait_exit(120) == 1
    assert "Error: DARKROOM_LEASE: must be a valid number" in process.log
    assert "Traceback" not in process.log


def test_a_model_that_cannot_be_loaded_ends_the_process(launch: Launch) -> None:
    """Else the middleware would refuse every event until somebody looks."""
    process = launch("-c", MAIN, DARKROOM_MODEL="tests").process
    assert process.wait_exit(120) == 1
    assert "start.failed" in process.log
    assert "Traceback" not in process.log
