"""What Eventing's webhooks refuse in Brokers, Triggers and sources, or what would lose events without a word.

From knative/eventing v0.47.0: pkg/apis/eventing/v1/trigger_validation.go and pkg/apis/duck/v1/delivery_types.go;
from eventing-kafka-broker knative-v1.21.0: kafka_validation.go of sources/v1 and kafka_sink_validation.go of
eventing/v1alpha1, in control-plane/pkg/apis.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import events
from tests.manifests.rendering import Manifest, Rendering, name_of
from tests.servers.dispatchers import DELIVERY

DIALECTS: Final = {"exact", "prefix", "suffix", "all", "any", "not", "cesql"}
OURS: Final = {events.PROMPTS_DROPPED, events.IMAGE_REQUESTED, events.IMAGE_COMPLETED, events.IMAGE_FAILED}
# What events/dialects reads, and which sources send to a broker.
STRANGERS: Final = {
    *("dev.knative.eventing.aws-s3", "dev.knative.eventing.aws-sqs", "dev.knative.kafka.event"),
    *("com.amazonaws.ObjectCreated:", "com.amazonaws.s3.ObjectCreated:"),
}
KEY_TYPE: Final = "kafkasources.sources.knative.dev/key-type"


def leaves(filters: list[Manifest]) -> Iterator[Manifest]:
    """Every filter in these, nested ones too."""
    for item in filters:
        yield item
        yield from leaves([*item.get("all", []), *item.get("any", []), *([item["not"]] if "not" in item else [])])


def filters_of(trigger: Manifest) -> list[Manifest]:
    return list(leaves(trigger["spec"].get("filters", [])))


def attributes(item: Manifest) -> dict[str, Any]:
    """What a filter compares, whichever way."""
    return {**item.get("exact", {}), **item.get("prefix", {}), **item.get("suffix", {})}


def one_dialect_per_filter(rendering: Rendering) -> Iterator[str]:
    """Each filter has one dialect; two conditions are two items of the list."""
    for trigger in rendering.kind("Trigger"):
        for item in filters_of(trigger):
            if len(item.keys() & DIALECTS) != 1:
                yield f"{name_of(trigger)}: a filter has {', '.join(sorted(item)) or 'no dialect'}, not one dialect"


def attribute_names(rendering: Rendering) -> Iterator[str]:
    """Filters name attributes in lowercase letters and digits, and compare them with text."""
    for trigger in rendering.kind("Trigger"):
        for item in filters_of(trigger):
            for name, value in attributes(item).items():
                if not re.fullmatch("[a-z][a-z0-9]*", name) or not isinstance(value, str):
                    yield f"{name_of(trigger)}: {name}: {value!r} is no attribute and its text"


def types_that_exist(rendering: Rendering) -> Iterator[str]:
    """Each Trigger asks for types that somebody sends; EventTypes name ours, with their schemas."""
    for trigger in rendering.kind("Trigger"):
        asked = {attributes(item)["type"] for item in filters_of(trigger) if "type" in attributes(item)}
        if not asked:
            yield f"{name_of(trigger)}: asks for no type, so it takes every event there is"
        for stranger in sorted(asked - OURS - STRANGERS):
            yield f"{name_of(trigger)}: nobody sends {stranger}"
    for described in rendering.kind("EventType"):
        has = {row["name"]: row.get("value") for row in described["spec"].get("attributes", [])}
        if has.get("dataschema") != events.DATASCHEMA.get(str(has.get("type"))):
            yield f"{name_of(described)}: its type {has.get('type')} is not ours, or has another schema"


def no_loop(rendering: Rendering) -> Iterator[str]:
    """No Trigger brings render its own outcomes: Kafka's broker would send them round for ever."""
    for trigger in rendering.kind("Trigger"):
        if trigger["spec"]["subscriber"].get("ref", {}).get("name") == "render":
            exact = [item["exact"].get("type") for item in trigger["spec"].get("filters", []) if "exact" in item]
            if exact != [events.IMAGE_REQUESTED]:
                yield f"{name_of(trigger)}: must ask for {events.IMAGE_REQUESTED} and nothing else"


def whole_deliveries(rendering: Rendering) -> Iterator[str]:
    """Each delivery has all of it, for nothing is merged or filled in, and a sink for what was given up on."""
    for kind in ("Broker", "Trigger", "KafkaSource"):
        for thing in rendering.kind(kind):
            delivery = {**thing["spec"].get("delivery", {})}
            sink = delivery.pop("deadLetterSink", None)
            if delivery != DELIVERY:
                yield f"{name_of(thing)}: delivery is {delivery}, not {dict(DELIVERY)}"
            if not sink:
                yield f"{name_of(thing)}: has no deadLetterSink"


def kafka_sources(rendering: Rendering) -> Iterator[str]:
    """KafkaSources keep a key that holds a newline, begin where nothing is lost, and have a group of their own."""
    for source in rendering.kind("KafkaSource"):
        spec = source["spec"]
        if source["metadata"].get("labels", {}).get(KEY_TYPE) != "byte-array":
            yield f"{name_of(source)}: has no label {KEY_TYPE}: byte-array"
        if spec.get("initialOffset") != "earliest":
            yield f"{name_of(source)}: initialOffset must be earliest, or what came before it was ready is lost"
        if spec.get("ordering") not in {"ordered", "unordered"}:
            yield f"{name_of(source)}: ordering must say ordered or unordered"
        if not (spec.get("topics") and spec.get("bootstrapServers") and spec.get("consumerGroup")):
            yield f"{name_of(source)}: must have topics, bootstrapServers and a consumerGroup"


def kafka_sinks(rendering: Rendering) -> Iterator[str]:
    """KafkaSinks have a topic, servers, and a mode that Knative knows."""
    for sink in rendering.kind("KafkaSink"):
        spec = sink["spec"]
        if not (spec.get("topic") and spec.get("bootstrapServers")):
            yield f"{name_of(sink)}: must have a topic and bootstrapServers"
        if spec.get("contentMode", "binary") not in {"binary", "structured"}:
            yield f"{name_of(sink)}: contentMode must be binary or structured"
        if min(spec.get("numPartitions", 1), spec.get("replicationFactor", 1)) < 1:
            yield f"{name_of(sink)}: must have at least one partition and one replica"


def kafka_brokers(rendering: Rendering) -> Iterator[str]:
    """A Broker of Kafka's class names its configuration: without one it falls back to the channel's."""
    for broker in rendering.kind("Broker"):
        of_kafka = broker["metadata"].get("annotations", {}).get("eventing.knative.dev/broker.class") == "Kafka"
        if of_kafka and broker["spec"].get("config", {}).get("kind") != "ConfigMap":
            yield f"{name_of(broker)}: spec.config must name a ConfigMap"


RULES: Final = (
    one_dialect_per_filter,
    attribute_names,
    types_that_exist,
    no_loop,
    whole_deliveries,
    kafka_sources,
    kafka_sinks,
    kafka_brokers,
)
