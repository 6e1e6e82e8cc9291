"""Dead letters in a Kafka topic, such as a KafkaSink or the Kafka broker writes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, cast
from urllib.parse import quote

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from function.errors import Unavailable
from function.letters import Letter

# Seconds for Kafka to say what there is, and for the next record to come.
PATIENCE: Final = 15.0


class Topic:
    """What is in a topic at the time: each partition from its beginning to where it ends now.

    `properties` are librdkafka's, such as those for TLS and SASL. `len` counts at most too many: records that Kafka has
    deleted in between, or keeps for itself.
    """

    def __init__(self, name: str, bootstrap: str, properties: Mapping[str, str] = {}) -> None:
        self._name = name
        settings = {
            **properties,
            "bootstrap.servers": bootstrap,
            # Only read: nothing is committed, so that it can be read again.
            "group.id": "darkroom-replay",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "log_level": 0,
        }
        try:
            self._consumer = Consumer(settings)
        except KafkaException as error:
            raise Unavailable(f"Kafka's client cannot be set up so: {error.args[0].str()}") from error
        try:
            found = self._consumer.list_topics(name, timeout=PATIENCE).topics[name]
            if found.error:
                raise Unavailable(f"Kafka has no topic {name}: {found.error.str()}")
            self._ends = {number: self._end(number) for number in found.partitions}
        except KafkaException as error:
            raise _unavailable(error.args[0]) from error

    def _end(self, partition: int) -> tuple[int, int]:
        low, high = self._consumer.get_watermark_offsets(TopicPartition(self._name, partition), timeout=PATIENCE)
        return low, high

    def __len__(self) -> int:
        return sum(high - low for low, high in self._ends.values())

    def __iter__(self) -> Iterator[Letter]:
        left = {partition: high for partition, (low, high) in self._ends.items() if high > low}
        self._consumer.assign([TopicPartition(self._name, partition, OFFSET_BEGINNING) for partition in left])
        while left:
            record = self._consumer.poll(PATIENCE)
            if record is None:
                raise Unavailable(f"Kafka sent nothing for {PATIENCE:g} s")
            partition, error = int(record.partition() or 0), record.error()
            if error and error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001  # its only name
                raise _unavailable(error)
            # Kafka keeps offsets for itself, too, so that the last may be that of no record.
            over = error or int(record.offset() or 0) + 1 >= left.get(partition, 0)
            if not error and int(record.offset() or 0) < left.get(partition, 0):
                yield letter(record)
            if over:
                left.pop(partition, None)

    def close(self) -> None:
        self._consumer.close()


def letter(record: Message) -> Letter:
    """The event in a record (CloudEvents' Kafka protocol binding, section 3) as HTTP would bring it."""
    headers = {}
    for name, value in cast("list[tuple[str, bytes | None]]", record.headers() or []):
        text = (value or b"").decode("utf-8", "replace")
        if name.startswith("ce_"):
            # In Kafka nothing is percent-encoded, in HTTP everything.
            headers[f"ce-{name[3:]}"] = quote(text)
        elif name == "content-type":
            headers[name] = text
    name = f"{record.topic()}, partition {record.partition()}, offset {record.offset()}"
    return Letter(name, headers, record.value() or b"")


def _unavailable(error: KafkaError) -> Unavailable:
    return Unavailable(f"Kafka does not answer as it should: {error.str()}")
