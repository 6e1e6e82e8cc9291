"""Faults in Brokers, Triggers and sources."""

from __future__ import annotations

from typing import Final

from tests.manifests.broken.broken import Broken
from tests.manifests.rendering import GONE
from tests.manifests.rules import eventing

KAFKA: Final = "overlays/kafka"

EVENTING: Final = (
    Broken(
        "two dialects further in",
        eventing.one_dialect_per_filter,
        "Trigger/image-requested",
        {"/spec/filters/0": {"not": {"exact": {"type": "a"}, "prefix": {"source": "b"}}}},
        "exact, prefix",
    ),
    Broken(
        "an attribute with a hyphen",
        eventing.attribute_names,
        "Trigger/image-requested",
        {"/spec/filters/0/exact/ce-type": "a"},
        "ce-type",
    ),
    Broken(
        "an attribute that is a number",
        eventing.attribute_names,
        "Trigger/image-requested",
        {"/spec/filters/0/exact/batchindex": 1},
        "batchindex",
    ),
    Broken(
        "a type that nobody sends",
        eventing.types_that_exist,
        "Trigger/prompts-dropped",
        {"/spec/filters/0/exact/type": "dev.darkroom.prompt.dropped"},
        "nobody sends",
    ),
    Broken(
        "a Trigger for all", eventing.types_that_exist, "Trigger/prompts-dropped", {"/spec/filters": GONE}, "no type"
    ),
    Broken(
        "another's schema",
        eventing.types_that_exist,
        "EventType/dev.darkroom.image.failed",
        {"/spec/attributes/1/value": "dev.darkroom.image.completed"},
        "another schema",
    ),
    Broken(
        "a loop",
        eventing.no_loop,
        "Trigger/image-requested",
        {"/spec/filters/0": {"prefix": {"type": "dev.darkroom.image."}}},
        "nothing else",
    ),
    *(
        Broken(f"{fault} of a {kind}", eventing.whole_deliveries, target, {f"/spec/delivery/{field}": value}, says)
        for kind, target in {"Trigger": "Trigger/image-requested", "Broker": "Broker/darkroom"}.items()
        for fault, field, value, says in (
            ("fewer retries", "retry", 3, "'retry': 3"),
            ("no timeout", "timeout", GONE, "delivery is"),
            ("no dead letters", "deadLetterSink", GONE, "no deadLetterSink"),
        )
    ),
    *(
        Broken(fault, eventing.kafka_sources, "KafkaSource/drops", at, says, KAFKA)
        for fault, at, says in (
            ("keys as text", {"/metadata/labels/kafkasources.sources.knative.dev~1key-type": "string"}, "byte-array"),
            ("only what comes later", {"/spec/initialOffset": GONE}, "earliest"),
            ("an order that there is not", {"/spec/ordering": "sorted"}, "unordered"),
            ("no topic", {"/spec/topics": []}, "must have topics"),
            ("a group of chance", {"/spec/consumerGroup": GONE}, "consumerGroup"),
        )
    ),
    Broken(
        "fewer retries of a KafkaSource",
        eventing.whole_deliveries,
        "KafkaSource/drops",
        {"/spec/delivery/retry": GONE},
        "delivery is",
        KAFKA,
    ),
    *(
        Broken(fault, eventing.kafka_sinks, "KafkaSink/outcomes", at, says, KAFKA)
        for fault, at, says in (
            ("a sink without a topic", {"/spec/topic": ""}, "must have a topic"),
            ("a mode that there is not", {"/spec/contentMode": "batch"}, "contentMode"),
            ("no partition", {"/spec/numPartitions": 0}, "one partition"),
        )
    ),
    Broken(
        "a Broker of Kafka with the channel's configuration",
        eventing.kafka_brokers,
        "Broker/darkroom",
        {"/spec/config": GONE},
        "must name a ConfigMap",
        KAFKA,
    ),
    Broken(
        "a filter of nothing",
        eventing.one_dialect_per_filter,
        "Trigger/image-requested",
        {"/spec/filters/0": {}},
        "no dialect",
    ),
    Broken(
        "a source without servers",
        eventing.kafka_sources,
        "KafkaSource/drops",
        {"/spec/bootstrapServers": []},
        "bootstrapServers",
        KAFKA,
    ),
    Broken(
        "a sink without servers",
        eventing.kafka_sinks,
        "KafkaSink/outcomes",
        {"/spec/bootstrapServers": []},
        "bootstrapServers",
        KAFKA,
    ),
)
