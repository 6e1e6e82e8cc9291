"""What of Darkroom is in its namespace: whether it is there, ready, and as knative/base has it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from function.doctor.cluster import KINDS, Absent, Cluster, Found, notes_of, patching, resource
from function.doctor.finding import Check, Finding, looked_at
from function.doctor.placeholders import OURS, placeholders

THERE = Check(
    "objects-there", "the Broker, Services, Triggers and SinkBindings of `knative/base` are there", "`kubectl apply`"
)
READY = Check(
    "objects-ready",
    "everything of Knative in the namespace is ready",
    "what the condition says; `kubectl describe` shows the rest",
)
DELIVERY = Check(
    "trigger-delivery",
    "the Triggers for intake and render repeat, wait and give up as `knative/base` has it, into a dead-letter sink",
    "`kubectl patch` with the whole block",
)
CONCURRENCY = Check(
    "render-concurrency", "render's `containerConcurrency` is 1: it draws one picture at a time", "`kubectl patch`"
)
SCALE = Check(
    "render-scale",
    "render has a max-scale, and its utilization is 100: one running render asks for no second pod",
    "`kubectl patch`",
)

NEEDED: Final = {
    "Broker": ("darkroom",),
    "Service": ("intake", "render"),
    "Trigger": ("prompts-dropped", "image-requested"),
    "SinkBinding": ("intake", "sweep"),
}
# Word for word as knative/base has it; a test compares.
ASKED: Final[Mapping[str, Any]] = {
    "retry": 12,
    "backoffPolicy": "exponential",
    "backoffDelay": "PT1S",
    "timeout": "PT11M",
}
LETTERS: Final = {"ref": {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": "archive"}}
UTILIZATION, MAX_SCALE = "autoscaling.knative.dev/target-utilization-percentage", "autoscaling.knative.dev/max-scale"


class _Delivery(BaseModel):
    """What has to be equal, with PT660S the same as PT11M."""

    retry: int | None = None
    backoffPolicy: str | None = None  # noqa: N815  # Knative's own word
    backoffDelay: timedelta | None = None  # noqa: N815  # "
    timeout: timedelta | None = None


class Objects:
    """Knative's objects in the namespace."""

    name = "objects"
    checks = (THERE, READY, DELIVERY, CONCURRENCY, SCALE, OURS)
    seconds = 20.0

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def run(self) -> Iterator[Finding]:
        if not self._cluster.named():
            yield THERE.skipped("no cluster is named by a service account or KUBECONFIG")
            return
        for kind in NEEDED:
            yield from looked_at(THERE, partial(self._there, kind))
        for kind in KINDS:
            yield from looked_at(READY, partial(self._ready, kind))
        yield from looked_at(DELIVERY, self._delivery)
        yield from looked_at(CONCURRENCY, self._render)
        yield from looked_at(OURS, partial(placeholders, self._cluster))

    def _there(self, kind: str) -> Iterator[Finding]:
        try:
            names = {found["metadata"]["name"] for found in self._cluster.every(kind)}
        except Absent as absent:
            part = "serving" if kind == "Service" else "eventing"
            release = f"https://github.com/knative/{part}/releases/latest/download"
            apply = f"kubectl apply --filename {release}/{part}-crds.yaml --filename {release}/{part}-core.yaml"
            yield THERE.wrong(f"Knative {part.capitalize()} is not installed: {absent}", apply)
            return
        needed = [name for name in NEEDED[kind] if kind != "Service" or name not in self._cluster.elsewhere()]
        missing = [name for name in needed if name not in names]
        if missing:
            said = f"{_counted(kind, missing)} missing in namespace {self._cluster.namespace}"
            yield THERE.wrong(said, "kubectl apply --kustomize $OVERLAY")
        else:
            yield THERE.ok(f"{_counted(kind, needed)} there")

    def _ready(self, kind: str) -> Iterator[Finding]:
        try:
            found = self._cluster.every(kind)
        except Absent:
            return
        for one in found:
            name = one["metadata"]["name"]
            if why := _unready(one):
                describe = f"kubectl --namespace {self._cluster.namespace} describe {resource(kind, name)}"
                yield READY.wrong(f"{kind} {name} is not ready: {why}", describe)
        if found and not any(map(_unready, found)):
            said = f"{', '.join(one['metadata']['name'] for one in found)}: ready, as {kind}"
            if any(_channel(one) == "InMemoryChannel" for one in found):
                said += "; its InMemoryChannel forgets events at a restart, Kafka does not"
            yield READY.ok(said)

    def _delivery(self) -> Iterator[Finding]:
        for trigger in self._cluster.every("Trigger"):
            name, spec = trigger["metadata"]["name"], trigger["spec"]
            if _subscriber(trigger).get("name") not in ("intake", "render"):
                continue
            delivery = spec.get("delivery") or {}
            if different := [field for field in _fields(delivery) if _fields(delivery)[field] != _fields(ASKED)[field]]:
                what = f"Trigger {name} asks for another {', '.join(different)} of delivery than knative/base"
            elif not delivery.get("deadLetterSink"):
                what = f"Trigger {name} has no deadLetterSink, so what is given up on is lost"
            else:
                yield DELIVERY.ok(f"Trigger {name} delivers as knative/base asks for")
                continue
            whole = {**ASKED, "deadLetterSink": delivery.get("deadLetterSink") or LETTERS}
            change = {"spec": {"delivery": whole}}
            yield DELIVERY.wrong(what, patching(self._cluster.namespace, resource("Trigger", name), change))

    def _render(self) -> Iterator[Finding]:
        render = self._cluster.one("Service", "render")
        if render is None:
            return
        what, namespace = resource("Service", "render"), self._cluster.namespace
        concurrency = render["spec"]["template"]["spec"].get("containerConcurrency", 0)
        if concurrency == 1:
            yield CONCURRENCY.ok("render draws one picture at a time")
        else:
            change: dict[str, Any] = {"spec": {"template": {"spec": {"containerConcurrency": 1}}}}
            said = f"render takes {concurrency or 'any number of'} requests at once, and answers all but one with 429"
            yield CONCURRENCY.wrong(said, patching(namespace, what, change))
        notes = notes_of(render)
        if int(notes.get(MAX_SCALE, 0)) and notes.get(UTILIZATION) in ("100", "100.0"):
            yield SCALE.ok(f"render comes to at most {notes[MAX_SCALE]} pods, one for each running render")
            return
        wanted = {MAX_SCALE: notes[MAX_SCALE] if int(notes.get(MAX_SCALE, 0)) else "1", UTILIZATION: "100"}
        change = {"spec": {"template": {"metadata": {"annotations": wanted}}}}
        limit = "no max-scale" if wanted[MAX_SCALE] != notes.get(MAX_SCALE) else f"max-scale {wanted[MAX_SCALE]}"
        said = f"render has {limit} and a target utilization of {notes.get(UTILIZATION, '70')} %"
        yield SCALE.wrong(f"{said}: it asks for more pods than pictures are drawn", patching(namespace, what, change))


def _counted(kind: str, names: Sequence[str]) -> str:
    return f"{kind} {names[0]} is" if len(names) == 1 else f"{kind}s {' and '.join(names)} are"


def _subscriber(trigger: Found) -> Mapping[str, Any]:
    return trigger["spec"].get("subscriber", {}).get("ref") or {}


def _fields(delivery: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return _Delivery.model_validate(dict(delivery)).model_dump()
    except ValidationError:
        return dict.fromkeys(_Delivery.model_fields)


def _channel(broker: Found) -> str | None:
    """What holds the events of a channel-based Broker."""
    kind: str | None = broker.get("status", {}).get("annotations", {}).get("knative.dev/channelKind")
    return kind


def _unready(found: Found) -> str | None:
    """Why an object is not ready, None if it is."""
    status = found.get("status", {})
    if status.get("observedGeneration", 0) < found["metadata"].get("generation", 0):
        return "Knative has not looked at its last change yet"
    for condition in status.get("conditions", ()):
        if condition["type"] == "Ready" and condition["status"] == "True":
            return None
        if condition["type"] == "Ready":
            said = ": ".join(filter(None, (condition.get("reason"), condition.get("message"))))
            return " ".join(said.split())[:300] or "it does not say why"
    return "it does not say"
