"""Duplicates, one after the other and all at once: one render each, and a replay that costs little more than a GET."""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import median, quantiles
from typing import Final

import pytest

from events import IMAGE_REQUESTED
from events.request import key_of
from function import layout
from tests.darkroom import outcome_of
from tests.dispatch.stage import SOURCE, Stage, Told, requested, settle
from tests.process.measure import allowance
from tests.servers.broker import Broker
from tests.servers.dispatchers import GO
from tests.sizing import sized
from tests.store.real import s3_store

pytestmark = pytest.mark.chaos

# Seconds that a replay may take beyond the store's own GET.
DEARER: Final = 0.020


def p99(seconds: Sequence[float]) -> float:
    return quantiles(seconds, n=100)[98]


def test_a_hundred_duplicates_cost_one_render_and_a_replay_little_more_than_a_get(stage: Stage) -> None:
    events, copies = sized((10, 30), (100, 100))
    names = [f"star {number}" for number in range(events)]
    gets, replays, told = [], [], Told()
    with stage.pods(1) as pods:
        store = s3_store(stage.server.environment, pods.images)
        allowed = sized(10, 1) * DEARER * allowance()
        for name in names:
            event = requested(name)
            record = layout.record(key_of(SOURCE, name))
            for copy in range(copies):
                if copy:
                    began = time.perf_counter()
                    assert store.read(record) is not None
                    gets.append(time.perf_counter() - began)
                began = time.perf_counter()
                answer = pods.processes[0].post("/", event.data, event.headers)
                if copy:
                    replays.append(time.perf_counter() - began)
                assert answer.status == 200
                told.add(outcome_of(answer))
        told.check(names)
        pods.check_renders(names)
    print(
        f"\n{events} events x {copies}: {events} renders; replay {median(replays) * 1e3:.1f} ms, p99 "
        f"{p99(replays) * 1e3:.1f} ms; GET {median(gets) * 1e3:.1f} ms, p99 {p99(gets) * 1e3:.1f} ms"
    )
    assert p99(replays) < p99(gets) + allowed


def test_sixteen_racers_to_two_processes_are_one_render(stage: Stage) -> None:
    keys, racers = sized(4, 500), 16
    names = [f"star {number}" for number in range(keys)]
    with stage.pods(2) as pods, Broker(GO) as broker:
        # As many as a process admits: sixteen arrive at once, eight at each.
        broker.trigger(IMAGE_REQUESTED, *pods.urls, at_once=racers // 2)
        began = time.monotonic()
        for name in names:
            settle(broker, [requested(name)] * racers, 60)
        seconds = time.monotonic() - began
        assert broker.dead == []
        told = Told.by_replies(broker)
        told.check(names)
        assert told.count == keys * racers
        pods.check_renders(names)
        first = sum(len(each.answers) == 1 for each in broker.settled)
    print(
        f"\n{keys} keys x {racers} racers in {seconds:.1f} s: {keys} renders; {first} answered at "
        f"once, {keys * racers - first} after 409 or 429"
    )
