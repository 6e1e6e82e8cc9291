"""The store is away, slow or at odds with itself: nothing is lost, and no attempt is held against a request."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.faults import CONFLICT, Act, Answer, Fault, Stall, hang_up
from tests.faults.proxy import FaultProxy
from tests.faults.room import LEASE, Delivered, Room, room
from tests.sizing import sized

AT_ONCE = 3
RENDER = 0.3
# An outage of a minute under the lease that is the default, or one of seconds under a lease as much shorter.
OUTAGE, OUTAGE_LEASE = sized((2.0, LEASE), (60.0, 30.0))
# The promise is 5 s, on a machine that does nothing else.
RECOVERY = sized(15.0, 5.0)
SLOW_EVENTS, CONFLICTS = sized((2, 3), (100, 300))


@pytest.fixture(scope="module")
def here(proxy: FaultProxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    with room(proxy, tmp_path_factory.mktemp("outages")) as made:
        yield made


def told(what: str, where: Room, delivered: Sequence[Delivered]) -> None:
    statuses = Counter(status for one in delivered for status in one.statuses)
    answers = ", ".join(f"{count} times {status}" for status, count in sorted(statuses.items()))
    print(f"\n{what}: {len(delivered)} events, {answers}, {where.renders(delivered)} renders")


def through_an_outage(where: Room, act: Act, seconds: float, over: threading.Event) -> tuple[list[Delivered], float]:
    """Events under way before, in and after an outage; and how long after its end the first of them was taken."""
    stop = threading.Event()

    def keep_sending(sender: int) -> list[Delivered]:
        sent: list[Delivered] = []
        while not stop.is_set():
            sent.append(where.deliver(f"sender {sender} event {len(sent)}"))
        return sent

    with ThreadPoolExecutor(AT_ONCE) as pool:
        sending = [pool.submit(keep_sending, sender) for sender in range(AT_ONCE)]
        where.wait_for_render(AT_ONCE)
        with where.proxy.injecting(Fault(act)):
            threading.Event().wait(seconds)
        over.set()
        back = time.monotonic()
        where.wait_for_render(1)
        stop.set()
        delivered = [one for future in sending for one in future.result()]
    taken = [at for one in delivered for status, at in one.answers if status == 200 and at > back]
    return delivered, min(taken) - back


@pytest.mark.chaos
@pytest.mark.parametrize("kind", ["refuses", "is silent"])
def test_an_outage(proxy: FaultProxy, tmp_path: Path, kind: str) -> None:
    over = threading.Event()
    act = hang_up if kind == "refuses" else Stall(over)
    with room(proxy, tmp_path, lease=OUTAGE_LEASE, seconds=RENDER) as where:
        delivered, recovery = through_an_outage(where, act, OUTAGE, over)
        told(f"for {OUTAGE:g} s the store {kind}; back after {recovery:.1f} s", where, delivered)
        # One slot renders, so at most one render was under way when it began.
        assert where.broken(delivered, extra=1) == []
    assert recovery < RECOVERY


@pytest.mark.chaos
def test_slow_down(here: Room) -> None:
    """30 % of all requests are told to slow down."""
    with here.proxy.injecting(Fault(Answer(503, "SlowDown"), share=0.3)) as (slow,):
        delivered = here.deliver_all([f"slow {n}" for n in range(SLOW_EVENTS)], AT_ONCE)
    told(f"30 % SlowDown, {slow.hits} times", here, delivered)
    assert here.broken(delivered) == []


@pytest.mark.chaos
def test_conflicts(here: Room) -> None:
    """They are resolved where they arise: every event is taken at its first delivery."""
    delivered = conflicting(here, CONFLICTS)
    told("two conflicts at each create", here, delivered)
    assert here.broken(delivered) == []
    assert {tuple(one.statuses) for one in delivered} == {(200,)}


def conflicting(where: Room, events: int) -> list[Delivered]:
    with where.proxy.injecting(Fault(CONFLICT, each=2, creates=True)):
        return [where.deliver(f"conflict {n}") for n in range(events)]


@pytest.mark.chaos
def test_a_conflict_taken_for_exists_is_caught(proxy: FaultProxy, tmp_path: Path) -> None:
    with room(proxy, tmp_path, "tests.faults.mutants", "TakesConflictForExists") as where:
        (delivered,) = conflicting(where, 1)
    assert delivered.statuses != [200]
