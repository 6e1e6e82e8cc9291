"""The store does as asked and the answer is lost, at every PUT of the protocol: no event waits for its own claim."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults import Act, Answer, Fault, lose_answer
from tests.faults.proxy import FaultProxy
from tests.faults.room import LEASE, Delivered, Room, room
from tests.sizing import sized

EVENTS = sized(3, 300)
PUTS = ["claims/", "images/", "records/", "told/"]
EVERY_PUT = pytest.mark.parametrize("prefix", PUTS, ids=[prefix.rstrip("/") for prefix in PUTS])


@pytest.fixture(scope="module")
def here(proxy: FaultProxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    with room(proxy, tmp_path_factory.mktemp("lost")) as made:
        yield made


def lose_one(where: Room, prefix: str, events: int) -> list[Delivered]:
    """Events of which each loses the answer to one PUT, which boto3 repeats by itself."""
    delivered = []
    for n in range(events):
        with where.proxy.injecting(Fault(lose_answer, "PUT", prefix, count=1)):
            delivered.append(where.deliver(f"one {prefix}{n}"))
    return delivered


def lose_all(where: Room, prefix: str, events: int) -> list[Delivered]:
    """Events whose first delivery hears nothing at all of one of its PUTs, however often boto3 repeats it."""
    return first_meets(where, lose_answer, f"all {prefix}", prefix, events)


def denied(where: Room, prefix: str, events: int) -> list[Delivered]:
    """Events whose first delivery may not write."""
    return first_meets(where, Answer(403, "AccessDenied"), f"denied {prefix}", prefix, events)


def first_meets(where: Room, act: Act, name: str, prefix: str, events: int) -> list[Delivered]:
    """Events of which the first delivery alone meets this at each of its PUTs below `prefix`."""
    delivered = []
    for n in range(events):
        with where.proxy.injecting(Fault(act, "PUT", prefix)):
            first = where.post(f"{name}{n}")
        delivered.append(where.deliver(f"{name}{n}", first))
    return delivered


def told(what: str, where: Room, delivered: list[Delivered]) -> None:
    answers = sum(len(one.answers) for one in delivered)
    slowest = max(one.seconds for one in delivered)
    print(
        f"\n{what}: {len(delivered)} events, {answers} deliveries, {where.renders(delivered)} renders, "
        f"at most {slowest:.1f} s from the first answer to the last, the lease is {LEASE:g} s"
    )


@pytest.mark.chaos
@EVERY_PUT
def test_an_answer_is_lost(here: Room, prefix: str) -> None:
    delivered = lose_one(here, prefix, EVENTS)
    told(f"one answer lost of {prefix}", here, delivered)
    assert here.broken(delivered, within=LEASE / 2) == []


@pytest.mark.chaos
@EVERY_PUT
def test_every_answer_is_lost(here: Room, prefix: str) -> None:
    """A claim is unresolved and its delivery answered with 503; an image and a record are seen to be there."""
    delivered = lose_all(here, prefix, EVENTS)
    told(f"every answer lost of {prefix}", here, delivered)
    assert {one.statuses[0] for one in delivered} == {503 if prefix == "claims/" else 200}
    assert here.broken(delivered, within=LEASE / 2) == []


@pytest.mark.chaos
@pytest.mark.parametrize(
    ("mutant", "lose", "sentences"),
    [
        ("Harmless", lose_one, set()),
        ("Harmless", denied, set()),
        ("TakesItsClaimForAnothers", lose_one, {"waited", "used up"}),
        ("BlamesTheRequest", denied, {"used up"}),
    ],
)
def test_a_mutant_is_caught(
    proxy: FaultProxy,
    tmp_path: Path,
    mutant: str,
    lose: Callable[[Room, str, int], list[Delivered]],
    sentences: set[str],
) -> None:
    with room(proxy, tmp_path, "tests.faults.mutants", mutant) as where:
        delivered = lose(where, "claims/", 1) + lose(where, "images/", 1)
        broken = where.broken(delivered, within=LEASE / 2)
    found = {sentence for sentence in ("waited", "used up") if any(sentence in fault for fault in broken)}
    assert found == sentences, broken
