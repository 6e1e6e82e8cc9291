"""Forty events at once, and two pods at most."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from events import IMAGE_COMPLETED
from tests.e2e.cluster import until
from tests.e2e.figures import Figures
from tests.e2e.installation import PATIENCE, Installation

pytestmark = pytest.mark.e2e

EVENTS, PODS = 40, 2


def test_all_are_completed_with_one_render_each_and_none_dies(installation: Installation, figures: Figures) -> None:
    service = installation.cluster.read("ksvc", "render")
    assert service["spec"]["template"]["metadata"]["annotations"]["autoscaling.knative.dev/max-scale"] == str(PODS)
    began, most = time.monotonic(), 0
    with ThreadPoolExecutor(EVENTS) as senders:
        sent = list(senders.map(lambda _: installation.request(), range(EVENTS)))

    keys = {each.key for each in sent}

    def dead() -> list[str]:
        return [name for name in installation.names("dead/") if name.split("/")[1] in keys]

    def all_told() -> bool:
        nonlocal most
        most = max(most, len(installation.pods()))
        assert dead() == []
        return keys <= installation.settled()

    until(all_told, f"{EVENTS} outcomes", 2 * PATIENCE)
    took = time.monotonic() - began
    assert {installation.outcome(each.key)["type"] for each in sent} == {IMAGE_COMPLETED}
    renders = [installation.attempts(each.key) for each in sent]
    assert renders == [["committed"]] * EVENTS
    assert dead() == []
    assert most == PODS
    figures.note("burst", f"{EVENTS} events", took)
    figures.note("burst", "pods at once", most)
    figures.note("burst", "renders", sum(map(len, renders)))
    figures.note("burst", "dead letters", len(dead()))
