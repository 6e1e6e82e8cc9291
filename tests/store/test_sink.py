"""The sink over HTTP: what is repeated, and what is not."""

from __future__ import annotations

import threading
import time

import pytest

from function.demo.process import free_ports
from function.errors import SinkDown
from function.telling.sink import HttpSink
from tests.receiver import Delivery, answering

EVENT = {"specversion": "1.0", "id": "1", "source": "/tests", "type": "com.example.any", "data": {}}


def test_a_sink_that_says_nothing_is_asked_once() -> None:
    (port,) = free_ports(1)
    asked: list[Delivery] = []
    over = threading.Event()

    def silent(delivery: Delivery) -> None:
        asked.append(delivery)
        over.wait(30)

    with answering(port, silent):
        began = time.monotonic()
        with pytest.raises(SinkDown, match="does not answer"):
            HttpSink(f"http://127.0.0.1:{port}", {}, patience=0.5).tell(EVENT)
        assert time.monotonic() - began < 5
        assert len(asked) == 1
        over.set()


@pytest.mark.parametrize(("answers", "taken"), [([503, 202], True), ([None, 202], True), ([400, 202], False)])
def test_what_may_pass_is_tried_again_at_once(answers: list[int | None], taken: bool) -> None:  # noqa: FBT001  # a row
    (port,) = free_ports(1)
    remaining = iter(answers)
    with answering(port, lambda _delivery: next(remaining)):
        sink = HttpSink(f"http://127.0.0.1:{port}", {})
        if taken:
            sink.tell(EVENT)
            return
        with pytest.raises(SinkDown, match="400"):
            sink.tell(EVENT)
