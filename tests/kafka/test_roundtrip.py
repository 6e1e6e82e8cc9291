"""What asks for a picture arrives exactly, whatever the names: through Kafka, a KafkaSource and HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from events import IMAGE_REQUESTED
from events.asking import dropped
from events.dialects import Carried, Dropped, Found, Prompted, read
from events.envelope import read as read_event
from events.request import ObjectRef, Request
from function.demo.s3server import S3Server
from tests.events.record_samples import KEYS
from tests.kafka.route import Mode, as_record, new_topic, publish, route
from tests.receiver import Delivery
from tests.servers.kafka import Kafka
from tests.servers.minio import KafkaTarget, Minio
from tests.stores import running

MODES: list[Mode] = ["binary", "structured"]


def found_in(delivery: Delivery | None) -> Found:
    """What the request asks for."""
    assert delivery is not None, "the record was lost"
    return read(read_event(delivery.headers, delivery.body))


@pytest.mark.parametrize("mode", MODES)
def test_event_in_a_record_is_the_request_that_was_published(kafka: Kafka, mode: Mode) -> None:
    topic, requests = new_topic(), [requested(number, key) for number, key in enumerate(KEYS.values())]
    publish(kafka.bootstrap, topic, *(as_record(event, mode) for event, _ in requests))
    with route(kafka.bootstrap, topic) as way:
        found = [found_in(way.next()[1]) for _ in requests]
    assert found == [Prompted(request) for _, request in requests]


def requested(number: int, key: str) -> tuple[dict[str, Any], Request]:
    """An event of a program's own, with a hard name in its data and, as far as that can be sent, its subject."""
    prompt = {"prompt": f"a star called {key}", "seed": number}
    request = Request("/tests", f"request-{number}", prompt, context={"partitionkey": f"key-{number}"})
    event = {
        "specversion": "1.0",
        "type": IMAGE_REQUESTED,
        "source": request.source,
        "id": request.id,
        "subject": key.replace("\n", " "),
        "time": "2026-11-24T10:00:00.123456Z",
        "data": prompt,
    }
    return event | dict(request.context), request


@pytest.mark.parametrize("mode", MODES)
def test_own_event_of_a_dropped_file_names_its_object(kafka: Kafka, mode: Mode) -> None:
    topic, refs = new_topic(), [ObjectRef("prompts", key, etag="e", size=24) for key in KEYS.values()]
    publish(kafka.bootstrap, topic, *(as_record(dropped(ref), mode) for ref in refs))
    with route(kafka.bootstrap, topic) as way:
        found = [found_in(way.next()[1]) for _ in refs]
    assert found == [Dropped((ref,)) for ref in refs]


@pytest.fixture(scope="module")
def telling(kafka: Kafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[S3Server, str]]:
    """A MinIO that tells Kafka of what is put into its bucket `prompts`, and the topic."""
    topic = new_topic("minio")
    target = KafkaTarget(kafka.bootstrap, topic)
    for server in running(Minio(tmp_path_factory.mktemp("minio"), ["prompts"], kafka=target)):
        yield server, topic


def test_object_put_into_minio_is_found(kafka: Kafka, telling: tuple[S3Server, str]) -> None:
    server, topic = telling
    for key in KEYS.values():
        server.client.put_object(Bucket="prompts", Key=key, Body=f'{{"prompt": "{len(key)}"}}'.encode())
    listed = server.client.list_objects_v2(Bucket="prompts")["Contents"]
    shown = {row["Key"]: ObjectRef("prompts", row["Key"], None, row["ETag"], row["Size"]) for row in listed}
    assert shown.keys() == set(KEYS.values()), "what MinIO stored is not what was put"
    truth = [Dropped((shown[key],)) for key in KEYS.values()]

    with route(kafka.bootstrap, topic, key_type="byte-array") as way:
        assert [found_in(way.next()[1]) for _ in KEYS] == truth
    with route(kafka.bootstrap, topic) as way:
        settled = [way.next() for _ in KEYS]
    lost = [record.record.key for record, delivery in settled if delivery is None]
    assert lost == [b"prompts/a\nb.json"], "a KafkaSource that takes keys for text sends all but control characters"
    sent = [found for found in truth if found.objects[0].key != KEYS["a newline"]]
    assert [found_in(delivery) for _, delivery in settled if delivery] == sent


@pytest.mark.parametrize("headers", [None, [("content-type", b"application/json")]])
def test_prompt_in_a_record_is_carried_and_the_same_when_delivered_again(kafka: Kafka, headers: Any) -> None:
    topic = new_topic()
    record = {"value": b'{"prompt": "a red star"}', "headers": headers, "timestamp": 1_795_000_000_120}
    publish(kafka.bootstrap, topic, record, record | {"key": "a key"}, record | {"value": b'{"prompt": "b"}'})
    found = carried(kafka, topic, 3)
    assert [each.received for each in found] == [{"prompt": "a red star"}, {"prompt": "a red star"}, {"prompt": "b"}]
    assert len({each.id for each in found}) == 3
    assert carried(kafka, topic, 3) == found


def carried(kafka: Kafka, topic: str, count: int) -> list[Carried]:
    """What a new source finds in a topic's first records."""
    with route(kafka.bootstrap, topic) as way:
        found = [found_in(way.next()[1]) for _ in range(count)]
    assert all(isinstance(each, Carried) for each in found)
    return [each for each in found if isinstance(each, Carried)]
