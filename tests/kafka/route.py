"""A way through Kafka: records into a topic, and out of it what a KafkaSource makes of them."""

from __future__ import annotations

import queue
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal

from cloudevents.core.bindings.kafka import KafkaMessage, to_binary_event, to_structured_event
from cloudevents.core.formats.json import JSONFormat
from confluent_kafka import Producer

from events.envelope import encode_json
from function.demo.process import free_ports
from tests.receiver import Delivery, receiver
from tests.servers.kafkasource import KafkaSource, KeyType, Settled

Mode = Literal["binary", "structured"]
PATIENCE: Final = 60.0  # seconds for a record to be settled


@dataclass(frozen=True)
class Route:
    """A topic whose records a KafkaSource delivers to a receiver."""

    source: KafkaSource
    deliveries: queue.Queue[Delivery]

    def next(self, seconds: float = PATIENCE) -> tuple[Settled, Delivery | None]:
        """The next record and the request that was accepted for it, if any; `queue.Empty` after `seconds`."""
        settled = self.source.settled.get(timeout=seconds)
        delivery = None
        for answer in settled.answers:
            delivery = self.deliveries.get(timeout=PATIENCE) if isinstance(answer, int) else None
        return settled, delivery if settled.accepted else None


@contextmanager
def route(
    bootstrap: str,
    topic: str,
    *,
    status: Callable[[], int] = lambda: 204,
    key_type: KeyType = "string",
    group: str | None = None,
    retries: int = 10,
) -> Iterator[Route]:
    """A KafkaSource with a receiver that answers with `status()`."""
    (port,) = free_ports(1)
    address = f"http://127.0.0.1:{port}/"
    how = KafkaSource(bootstrap, topic, address, key_type=key_type, group=group, retries=retries, backoff=0.01)
    with receiver(port, status) as deliveries, how as source:
        yield Route(source, deliveries)


def new_topic(name: str = "test") -> str:
    """A name that no other test has; the topic comes into being with its first record."""
    return f"{name}-{secrets.token_hex(6)}"


def publish(bootstrap: str, topic: str, *records: Mapping[str, Any]) -> None:
    """Puts records (`key`, `value`, `headers`, `timestamp` as in confluent_kafka) into a topic, in their order."""
    producer = Producer({"bootstrap.servers": bootstrap, "log_level": 0})
    for record in records:
        producer.produce(topic, **record)
    assert producer.flush(PATIENCE) == 0, "Kafka took not all records"


def as_record(event: Mapping[str, Any], mode: Mode) -> dict[str, Any]:
    """The record in which the CloudEvents SDK puts an event, given in its JSON form."""
    parsed = JSONFormat().read(None, encode_json(event))
    message: KafkaMessage = {"binary": to_binary_event, "structured": to_structured_event}[mode](parsed)
    return {"headers": dict(message.headers), "key": message.key, "value": message.value}
