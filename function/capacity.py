"""Numbers of an installation that must fit together, or events time out, are drawn twice, or are given up.

All times are seconds. docs/capacity.md has the same in words.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Literal, NamedTuple, Self

from pydantic import TypeAdapter

from function.config import Settings

Manifest = Mapping[str, Any]

# What a cluster sets where a manifest says nothing.
TIMEOUT: Final = 300.0
RESPONSE_START: Final = 300.0
PROGRESS_DEADLINE: Final = 600.0
DELIVERY: Final = {"retry": 10, "backoffPolicy": "exponential", "backoffDelay": "PT0.2S"}
# After so long a channel, and after so long Kafka's dispatcher, gives up an attempt for which no timeout is set.
CHANNEL_TIMEOUT, KAFKA_TIMEOUT = 900.0, 600.0
# A pod that is stopped goes on taking requests for so long before its process hears of it.
QUEUE_PROXY_DRAIN: Final = 30.0

AUTOSCALING: Final = "autoscaling.knative.dev/"
KAFKA_CLASSES: Final = {"Kafka", "KafkaNamespaced"}


class Misfit(NamedTuple):
    """Two numbers that do not fit: what comes of it, and which to turn."""

    sentence: str
    knob: str


@dataclass(frozen=True, slots=True)
class Load:
    """What only the user knows: seconds of a render and of a start from zero, and events at the same time."""

    render: float
    cold_start: float
    in_flight: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """How long a dispatcher keeps an event: that of channels, in Go, or that of Kafka, in Java."""

    retry: int
    policy: Literal["linear", "exponential"] | None
    delay: float | None
    timeout: float
    kafka: bool

    @classmethod
    def of(cls, delivery: Manifest, *, kafka: bool) -> Self:
        """A `delivery` block, with what the dispatcher takes for what it leaves out."""
        delay, timeout = (delivery.get(field) for field in ("backoffDelay", "timeout"))
        return cls(
            delivery.get("retry", 0),
            delivery.get("backoffPolicy"),
            None if delay is None else iso(delay),
            (KAFKA_TIMEOUT if kafka else CHANNEL_TIMEOUT) if timeout is None else iso(timeout),
            kafka,
        )

    def backoff(self, number: int) -> float:
        """How long retry 0, 1, 2… waits."""
        delay = self.delay
        if delay is None or (self.policy is None and not self.kafka):
            delay = 0.2 if self.kafka else 0.0
        number += self.kafka
        return float(delay * (number if self.policy == "linear" else 2**number))

    @property
    def patience(self) -> float:
        """How long an event is kept that is always refused at once."""
        return sum(self.backoff(number) for number in range(self.retry))

    @property
    def lifetime(self) -> float:
        """How long an event is kept at most, when no answer comes to any attempt."""
        return self.patience + (self.retry + 1) * self.timeout


@dataclass(frozen=True, slots=True)
class Numbers:
    """All that has to fit together: what the manifests say, what the settings say, and the load."""

    delivery: Delivery
    # Until Knative answers 504, waiting and starting included.
    timeout: float
    # From the deletion of a pod to its end.
    termination: float
    # What the startup probe allows; 0 without one.
    startup: float
    progress_deadline: float
    # 0 for any number of pods.
    max_scale: int
    render_limit: float
    drain_grace: float
    republish_after: float
    load: Load

    @classmethod
    def of(cls, service: Manifest, trigger: Manifest, broker: Manifest, settings: Settings, load: Load) -> Self:
        """What render's Service, its Trigger and their Broker say, as applied or as read from a cluster."""
        template = service["spec"]["template"]
        notes = template.get("metadata", {}).get("annotations", {})
        timeout = float(template["spec"].get("timeoutSeconds") or TIMEOUT)
        probe = template["spec"]["containers"][0].get("startupProbe") or {}
        kafka = broker["metadata"].get("annotations", {}).get("eventing.knative.dev/broker.class") in KAFKA_CLASSES
        delivery = trigger["spec"].get("delivery") or broker.get("spec", {}).get("delivery") or DELIVERY
        deadline = notes.get("serving.knative.dev/progress-deadline")
        return cls(
            delivery=Delivery.of(delivery, kafka=kafka),
            timeout=min(timeout, template["spec"].get("responseStartTimeoutSeconds") or RESPONSE_START),
            termination=timeout,
            startup=_allowed(probe) if probe else 0,
            progress_deadline=go(deadline) if deadline else PROGRESS_DEADLINE,
            max_scale=int(notes.get(AUTOSCALING + "max-scale", 0)),
            render_limit=settings.render_limit,
            drain_grace=settings.drain_grace,
            republish_after=settings.republish_after,
            load=load,
        )

    @property
    def queue(self) -> float:
        """How long all that are in flight take, once the pods are there."""
        rounds = math.ceil(self.load.in_flight / self.max_scale) if self.max_scale else 1
        return rounds * self.load.render

    @property
    def last(self) -> float:
        """After how long the last of all that are in flight has its picture."""
        return self.load.cold_start + self.queue

    @property
    def longest(self) -> float:
        """How long an event may be refused: while pods start, others are drawn, or its own first delivery is."""
        return self.load.cold_start + max(self.queue, self.render_limit)

    def misfits(self) -> list[Misfit]:
        """What does not fit, the first thing to mend first."""
        return [Misfit(rule.sentence.format(self), rule.knob.format(self)) for rule in RULES if not rule.holds(self)]


class Rule(NamedTuple):
    """What has to hold, and what is said where it does not."""

    holds: Callable[[Numbers], bool]
    sentence: str
    knob: str


RULES: Final = (
    Rule(
        lambda it: it.render_limit < it.timeout,
        "a render may take {0.render_limit:g} s, but Knative answers 504 after {0.timeout:g} s",
        "DARKROOM_RENDER_LIMIT below timeoutSeconds and responseStartTimeoutSeconds of render",
    ),
    Rule(
        lambda it: it.timeout < it.delivery.timeout,
        "the broker sends an event again after {0.delivery.timeout:g} s, while Knative waits {0.timeout:g} s for it",
        "delivery.timeout of the Trigger above timeoutSeconds of render",
    ),
    Rule(
        lambda it: it.render_limit <= it.drain_grace,
        "a render may take {0.render_limit:g} s, but a pod that is stopped waits {0.drain_grace:g} s for it",
        "DARKROOM_DRAIN_GRACE to at least DARKROOM_RENDER_LIMIT",
    ),
    Rule(
        lambda it: it.drain_grace + QUEUE_PROXY_DRAIN <= it.termination,
        "a pod that is stopped hears of it after 30 s and then waits {0.drain_grace:g} s for its render, but is killed "
        "after {0.termination:g} s",
        "DARKROOM_DRAIN_GRACE to at most timeoutSeconds of render less 30",
    ),
    Rule(
        lambda it: it.startup < it.progress_deadline,
        "the startup probe allows {0.startup:g} s, but Knative gives a start up after {0.progress_deadline:g} s",
        "failureThreshold of the startup probe, or the annotation serving.knative.dev/progress-deadline",
    ),
    Rule(
        lambda it: it.load.cold_start < it.progress_deadline,
        "a start takes {0.load.cold_start:g} s, but Knative gives it up after {0.progress_deadline:g} s",
        "the annotation serving.knative.dev/progress-deadline of render",
    ),
    Rule(
        lambda it: it.load.render < it.render_limit,
        "a render takes {0.load.render:g} s, but may take {0.render_limit:g} s",
        "fewer steps or smaller pictures; else DARKROOM_RENDER_LIMIT and what is above it",
    ),
    Rule(
        lambda it: it.last < it.timeout,
        "of {0.load.in_flight} events at once the last has its picture after {0.last:g} s, but Knative answers 504 "
        "after {0.timeout:g} s",
        "max-scale of render up, or fewer at once: ordered delivery, fewer partitions",
    ),
    Rule(
        lambda it: it.longest < it.delivery.patience,
        "an event may be refused for {0.longest:g} s, but is a dead letter after {0.delivery.patience:g} s",
        "retry or backoffDelay of the Trigger up, or max-scale of render",
    ),
    Rule(
        lambda it: it.delivery.lifetime < it.republish_after,
        "an event may be on its way for {0.delivery.lifetime:g} s, but the sweep announces its file again after "
        "{0.republish_after:g} s",
        "DARKROOM_REPUBLISH_AFTER above {0.delivery.lifetime:g}",
    ),
)


def _allowed(probe: Manifest) -> float:
    """How long a container may take until this probe succeeds."""
    return float(
        probe.get("initialDelaySeconds", 0) + probe.get("periodSeconds", 10) * probe.get("failureThreshold", 3)
    )


def iso(duration: str) -> float:
    """The seconds of a duration in ISO 8601, as in a `delivery`: PT11M."""
    return TypeAdapter(timedelta).validate_python(duration).total_seconds()


def go(duration: str) -> float:
    """The seconds of a duration as Go writes it, as in annotations: 1h30m."""
    if not re.fullmatch(r"([0-9.]+(ms|h|m|s))+", duration):
        raise ValueError(f"{duration!r} is no duration such as 90s or 1h30m")
    units = {"h": 3600, "m": 60, "s": 1, "ms": 0.001}
    return math.fsum(float(number) * units[unit] for number, unit in re.findall(r"([0-9.]+)(ms|h|m|s)", duration))
