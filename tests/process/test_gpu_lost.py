"""A lost GPU: 503, no 200 ever after, the process gone at once with 70, and its successor serves the same event."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Self

import pytest
import urllib3

from tests.darkroom import DarkroomProcess, eventually, outcome_of
from tests.process.conftest import Launch
from tests.process.losing import HEAVY
from tests.render.recorded import FATAL
from tests.sizing import sized

PROGRAM: Final = ("-m", "tests.process.losing")
LIGHT: Final = {"prompt": "a red star"}
# Of the hardware in the slice: those of the driver and of a library are lost in the tests below.
NUMBERS: Final = sized((10,), tuple(range(len(FATAL))))


class Watch:
    """Asks for `what` on a connection that it keeps, until nobody answers any more.

    That is a probe, or the outcome of an event that has one.
    """

    def __init__(self, process: DarkroomProcess, what: str, done: str) -> None:
        self.answers: list[tuple[float, int]] = []
        self.ended = 0.0
        self._http = urllib3.PoolManager(retries=False, timeout=10)
        self._process = process
        self._what = what
        self._done = done
        self._over = threading.Event()
        self._asking = threading.Thread(target=self._ask)

    def __enter__(self) -> Self:
        self._asking.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._asking.join()

    def _ask(self) -> None:
        with contextlib.suppress(urllib3.exceptions.HTTPError):
            while not self._over.wait(0.005):
                began = time.monotonic()
                self.answers.append((began, self._one()))
        self.ended = time.monotonic()

    def _one(self) -> int:
        if self._what != "replay":
            return self._http.request("GET", f"{self._process.url}/health/{self._what}").status
        headers = {"ce-specversion": "1.0", "ce-id": self._done, "ce-source": "/tests"}
        headers |= {"ce-type": "dev.darkroom.image.requested", "content-type": "application/json"}
        return self._http.request("POST", self._process.url, body=json.dumps(LIGHT), headers=headers).status


@contextlib.contextmanager
def begun(process: DarkroomProcess) -> Iterator[None]:
    """While this lasts, a sender has sent half of a request and no more."""
    with socket.create_connection(("127.0.0.1", process.port)) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        yield


@pytest.mark.chaos
@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: FATAL[number].thread)
def test_a_lost_gpu(launch: Launch, number: int) -> None:
    first = launch(*PROGRAM, LOSING=str(number))
    process = first.process.wait_ready()
    done, lost = str(uuid.uuid4()), str(uuid.uuid4())
    assert outcome_of(process.event(LIGHT, id=done))

    with contextlib.ExitStack() as watching:
        watching.enter_context(begun(process))
        watches = [watching.enter_context(Watch(process, what, done)) for what in ("readiness", "liveness", "replay")]
        eventually(lambda: all(watch.answers for watch in watches), "an answer to each watch")
        answer = process.event({"prompt": HEAVY}, id=lost)
        answered = time.monotonic()
        code = process.wait_exit(30)
        gone = time.monotonic() - answered
    assert (answer.status, answer.headers["connection"]) == (503, "close")
    assert answer.data == b"the GPU was lost\n", "what the GPU said is for the log"
    assert code == 70
    assert gone < sized(10, 2)
    for watch in watches:
        statuses = [status for _, status in watch.answers]
        alive = statuses.count(200)
        assert alive > 0, "it was lost before it was watched"
        assert statuses == [200] * alive + [503] * (len(statuses) - alive)
        assert watch.answers[alive - 1][0] < answered, "a 200 after the 503"
        # New connections are refused as soon as nothing is worked on.
        assert min([watch.ended, *(began for began, status in watch.answers if status == 503)]) < answered + sized(
            5.0, 0.25
        )
    asked = [status for watch in watches for _, status in watch.answers]
    assert 503 in asked
    print(f"\nexit 70 {gone:.2f} s after the 503; others saw {asked.count(200)} of 200, then {asked.count(503)} of 503")
    assert FATAL[number].text.splitlines()[0] in process.log
    assert "Traceback" not in process.log

    (claim,) = (key for key in first.keys("claims/") if first.stored(key)["ended"] != "committed")
    assert first.stored(claim) | {"ended": "GpuLost", "counts": True} == first.stored(claim)
    successor = launch(*PROGRAM, DARKROOM_IMAGE_BUCKET=first.images).process.wait_ready()
    event = outcome_of(successor.event({"prompt": HEAVY}, id=lost))
    assert event["type"] == "dev.darkroom.image.completed"
    assert claim == f"claims/{event['data']['key']}/1"
    assert successor.stop() == 0


def test_three_lost_gpus_are_the_prompts_fault(launch: Launch) -> None:
    first, lost = launch(*PROGRAM, LOSING="0"), str(uuid.uuid4())
    process = first.process
    for _ in range(3):
        assert process.wait_ready().event({"prompt": HEAVY}, id=lost).status == 503
        assert process.wait_exit(30) == 70
        process = launch(*PROGRAM, LOSING="0", DARKROOM_IMAGE_BUCKET=first.images).process
    process.wait_ready()
    assert outcome_of(process.event({"prompt": HEAVY}, id=lost))["data"]["code"] == "attempts_exhausted"
    assert process.probe("readiness") == 200


def test_whoever_waits_for_the_slot_loses_no_attempt(launch: Launch) -> None:
    """In standalone a second prompt waits for the first; it must not be drawn by what the first has left."""
    running = launch(*PROGRAM, LOSING="0", LOSING_ALONE="")
    process = running.process.wait_ready()
    with ThreadPoolExecutor(2) as senders:
        heavy = senders.submit(process.event, {"prompt": HEAVY}, id=str(uuid.uuid4()))
        running.claimed()
        light = senders.submit(process.event, LIGHT, id=str(uuid.uuid4()))
        assert (heavy.result().status, light.result().status) == (503, 503)
    assert process.wait_exit(30) == 70
    assert len(running.keys("claims/")) == 1, "an attempt of the other prompt was used up"


def test_a_gpu_that_is_lost_while_loading(launch: Launch) -> None:
    """Not the model's fault, so not its exit code, 1: whoever reads 70 looks at the GPU."""
    process = launch(*PROGRAM, LOSING="1", LOSING_AT="load").process
    assert process.wait_exit(60) == 70
    assert f"the GPU was lost: {FATAL[1].text.splitlines()[0]}" in process.log
    assert "Traceback" not in process.log


def test_a_gpu_that_hangs(launch: Launch) -> None:
    """It raises nothing: at twice the limit the process goes, and its attempt is dead, which counts."""
    running = launch("-m", "tests.drawing", DRAWING_SECONDS="300", DRAWING_STEPS="1", DARKROOM_RENDER_LIMIT="1")
    process = running.process.wait_ready()
    with ThreadPoolExecutor(1) as sender:
        answer = sender.submit(process.event, LIGHT, id=str(uuid.uuid4()))
        key = running.claimed()
        assert process.wait_exit(30) == 70
        assert isinstance(answer.exception(), urllib3.exceptions.HTTPError)
    assert "ended" not in running.stored(f"claims/{key}/1")
    assert "render.hung" in process.log
