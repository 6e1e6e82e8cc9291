"""Malformed events are refused where they are read, before anything is done; what only looks malformed is not."""

from __future__ import annotations

import pytest

from events.dialects import Nothing
from events.envelope import NotACloudEvent
from events.envelope import read as read_event
from tests.events.malformed import MALFORMED, MAX_BODY, Malformed, batch
from tests.events.samples import understood


def having(status: int) -> list[object]:
    return [pytest.param(each, id=each.name) for each in MALFORMED if each.status == status]


@pytest.mark.parametrize("malformed", having(400))
def test_malformed_event_is_refused(malformed: Malformed) -> None:
    with pytest.raises(NotACloudEvent):
        list(understood(malformed.headers or {"content-type": ""}, malformed.body))


@pytest.mark.parametrize("unusual", having(204))
def test_unusual_event_is_nothing(unusual: Malformed) -> None:
    assert all(isinstance(found, Nothing) for found in understood(unusual.headers, unusual.body))


@pytest.mark.parametrize("large", having(413))
def test_large_body_is_over_the_limit(large: Malformed) -> None:
    # The server refuses it before it is read whole.
    assert len(large.body) > MAX_BODY


def test_each_has_its_own_name_and_answer() -> None:
    assert len({each.name for each in MALFORMED}) == len(MALFORMED)
    assert {each.status for each in MALFORMED} == {204, 400, 413}


def test_only_a_door_that_takes_batches_does() -> None:
    with pytest.raises(NotACloudEvent):
        read_event(batch("").headers, b"[]")
