"""The KafkaSource of the tests does what Knative's does: what it sends, what it repeats, and what it loses.

delivered.json holds what the classes of eventing-kafka-broker (commit 7d8fe89) sent for each of its records when they
ran against a real Kafka, on the libraries that its pom names; a byte is written as the character of its number.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kafka.route import new_topic, publish, route
from tests.servers.kafka import Kafka
from tests.servers.kafkasource import Record, Unsendable, event_of, headers_of

DELIVERED: list[dict[str, Any]] = json.loads(Path(__file__).with_name("delivered.json").read_text("ascii"))
SOURCE = "/apis/v1/namespaces/default/kafkasources/prompts"


def as_bytes(text: str | None) -> bytes | None:
    return None if text is None else text.encode("latin-1")


def value_of(body: bytes | None) -> object:
    """What is the same however numbers are spelled."""
    try:
        return json.loads(body or b"")
    except ValueError:
        return body


@pytest.mark.parametrize("case", DELIVERED, ids=lambda case: f"{case['key_type']} {case['record']['offset']}")
def test_record_becomes_the_request_that_knative_sends(case: dict[str, Any]) -> None:
    given = case["record"]
    headers = [(name, as_bytes(value)) for name, value in given["headers"]]
    key, value = as_bytes(given["key"]), as_bytes(given["value"])
    record = Record("t", 0, given["offset"], given["timestamp"], key, headers, value)
    if case["sent"] is None:
        with pytest.raises(Unsendable):
            headers_of(event_of(record, SOURCE, case["key_type"])[0])
        return
    attributes, data = event_of(record, SOURCE, case["key_type"])
    sent = {name: value.decode("latin-1") for name, value in headers_of(attributes)}
    assert sent == case["sent"]["headers"]
    real = as_bytes(case["sent"]["body"])
    assert (data is None, value_of(data)) == (real is None, value_of(real))
    if b'"n":1.1,' not in (real or b""):
        assert data == real


def test_delivered_records_hold_what_is_hard() -> None:
    lost = [case for case in DELIVERED if case["sent"] is None]
    wrapped = [case for case in DELIVERED if case["sent"] and case["sent"]["headers"]["ce-type"].startswith("dev.kn")]
    assert (len(DELIVERED), len(lost), len(wrapped)) == (145, 12, 88)


def answers(*statuses: int) -> Any:
    """One status after the other, the last one for ever."""

    def run() -> Iterator[int]:
        yield from statuses
        while True:
            yield statuses[-1]

    each = run()
    return lambda: next(each)


@pytest.mark.parametrize(
    ("statuses", "tried"),
    [
        ((202,), (202,)),
        ((503, 429, 409, 408, 404, 500, 204), (503, 429, 409, 408, 404, 500, 204)),
        ((400, 204), (400,)),
        ((422, 204), (422,)),
        ((302, 204), (302,)),
        ((503,), (503,) * 4),
    ],
)
def test_record_is_repeated_for_what_may_pass_and_then_committed(
    kafka: Kafka, statuses: tuple[int, ...], tried: tuple[int, ...]
) -> None:
    topic = new_topic()
    publish(kafka.bootstrap, topic, {"value": b"first"}, {"value": b"second"})
    retries = 3 if len(statuses) == 1 else 10
    with route(kafka.bootstrap, topic, status=answers(*statuses), retries=retries) as way:
        first, delivery = way.next()
        second, _ = way.next()
    assert (first.record.value, first.answers) == (b"first", tried)
    assert first.accepted == (tried[-1] < 300) == (delivery is not None)
    assert second.record.value == b"second", "a record holds up those behind it only until it is settled"


def test_what_was_not_settled_is_delivered_again_to_the_same_group(kafka: Kafka) -> None:
    topic = new_topic()
    publish(kafka.bootstrap, topic, {"value": b"settled"}, {"value": b"under way"})
    with route(kafka.bootstrap, topic, group=topic, status=answers(204, 503), retries=10_000) as way:
        assert way.next()[0].record.value == b"settled"
        assert way.deliveries.get(timeout=60).body == b"under way"
    with route(kafka.bootstrap, topic, group=topic) as way:
        settled, delivery = way.next()
    assert settled.record.value == b"under way"
    assert delivery is not None
