"""Harness K: SIGKILL and SIGSTOP at every step of the protocol, with duplicates, on real servers."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.absent import absent
from tests.crash.conftest import LEASE_ON_MINIO
from tests.crash.history import Happened
from tests.crash.running import Crashes, Verdict
from tests.crash.steps import Step
from tests.sizing import sized

pytestmark = pytest.mark.chaos


def kept(crashes: Crashes, kind: str) -> Verdict:
    """What happened to the events of this kind, when no promise was broken."""
    verdict = crashes.verdict(kind)
    print(f"\n{kind}: {verdict}")
    assert not verdict.faults, "\n".join(verdict.faults)
    return verdict


def were_killed(happened: Sequence[Happened]) -> None:
    """At most twice each, and nearly all: a claim's end, where one is to be killed, may be left to the background."""
    assert all(each.kills <= 2 for each in happened)
    assert sum(each.kills > 0 for each in happened) >= 0.9 * len(happened)


def test_killed_at_every_step_nothing_is_lost_or_done_twice(on_minio: Crashes) -> None:
    happened = kept(on_minio, "killed").happened
    steps = {step for each in happened for step in each.reached}
    assert len(steps) >= sized(8, len(Step)), f"killed only {steps}"
    were_killed(happened)


def test_the_same_on_seaweedfs(on_seaweedfs: Crashes) -> None:
    happened = kept(on_seaweedfs, "killed").happened
    were_killed(happened)


def test_the_same_with_a_model_that_draws(shapes_on_minio: Crashes) -> None:
    happened = kept(shapes_on_minio, "killed").happened
    were_killed(happened)


def test_a_zombie_changes_nothing(on_minio: Crashes) -> None:
    happened = kept(on_minio, "zombie").happened
    assert all(len(each.stops) == 1 and each.stops[0] >= 2 * LEASE_ON_MINIO for each in happened)


def kept_by_shifted_clocks(crashes: Crashes, kind: str) -> Verdict:
    verdict = kept(crashes, kind)
    if not verdict.happened:
        absent("a process can be given another clock only on Linux, with a C compiler named cc")
    assert {minutes for each in verdict.happened for minutes in each.clocks_off} == {-10, 0, 10}
    return verdict


def test_a_running_attempt_is_not_taken_over_by_a_pod_with_another_clock(on_minio: Crashes) -> None:
    verdict = kept_by_shifted_clocks(on_minio, "running")
    assert verdict.renders == len(verdict.happened)
    assert all(409 in {status for status, _ in each.answers} for each in verdict.happened)


def test_a_dead_attempt_is_taken_over_by_the_stores_clock_alone(on_minio: Crashes) -> None:
    verdict = kept_by_shifted_clocks(on_minio, "taken over")
    were_killed(verdict.happened)


@pytest.mark.parametrize(
    ("mutant", "told_by"),
    [
        ("claims ignored", "2 renders after 0 deaths"),
        ("images overwritten", "an orphan record: another image is there"),
        ("records overwritten", "different outcomes"),
        ("clock of the pod", "2 renders after 0 deaths"),
        ("clock of the dead", "attempt 2 began"),
    ],
)
def test_mutant_is_caught(on_minio: Crashes, mutant: str, told_by: str) -> None:
    verdict = on_minio.verdict("mutant")
    if mutant not in {each.history.id for each in verdict.happened}:
        pytest.skip("a process cannot be given another clock here")
    assert [fault for fault in verdict.faults if fault.startswith(f"{mutant}: {told_by}")], verdict.faults
