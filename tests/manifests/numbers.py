"""The numbers of an installation, read from its manifests, and how many events at once fit into them."""

from __future__ import annotations

from dataclasses import replace
from itertools import count, takewhile
from typing import Final

from function.capacity import Load, Numbers
from function.config import Settings
from tests.manifests.rendering import Manifest, Rendering
from tests.manifests.rules.pods import variables

# Kafka's dispatcher, unordered, sends so many at once of one Trigger (max.poll.records).
UNORDERED: Final = 50
ORDER: Final = "kafka.eventing.knative.dev/delivery.order"

# Seconds: SDXL's 30 steps on a small GPU, and a start with the image on the node and the model on the volume. Below it
# the miniature.
GPU: Final = Load(render=10, cold_start=120, in_flight=1)
CPU: Final = Load(render=4, cold_start=20, in_flight=1)


def settings(rendering: Rendering, owner: str) -> Settings:
    """What a process is set to."""
    pod = next(pod for pod in rendering.pods() if pod.name == owner)
    return Settings.from_environment(variables(pod.spec["containers"][0], rendering))


def in_flight(trigger: Manifest, broker: Manifest, rendering: Rendering, load: Load) -> int:
    """How many events are with render at once: in Kafka as the manifests say, else as many as the load says."""
    notes = broker["metadata"].get("annotations", {})
    if notes.get("eventing.knative.dev/broker.class") != "Kafka":
        return load.in_flight
    if trigger["metadata"].get("annotations", {}).get(ORDER) != "ordered":
        return UNORDERED
    return int(rendering.get(f"ConfigMap/{broker['spec']['config']['name']}")["data"]["default.topic.partitions"])


def numbers(rendering: Rendering, load: Load) -> Numbers:
    """All that has to fit together, of an installation with Knative's pods."""
    trigger, broker = rendering.get("Trigger/image-requested"), rendering.get("Broker/darkroom")
    load = replace(load, in_flight=in_flight(trigger, broker, rendering, load))
    found = Numbers.of(rendering.get("Service/render"), trigger, broker, settings(rendering, "Service/render"), load)
    return replace(found, republish_after=settings(rendering, "CronJob/sweep").republish_after)


def most(found: Numbers) -> int:
    """How many events at once fit: of one more, something waits too long."""

    def fits(at_once: int) -> bool:
        return not replace(found, load=replace(found.load, in_flight=at_once)).misfits()

    assert found.max_scale > 0, "any number fits where there are as many pods as events"
    return sum(1 for _ in takewhile(fits, count(1)))
