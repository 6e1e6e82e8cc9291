"""Whatever one object says of another: that one is there, or is one that the user makes himself."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from tests.manifests.rendering import Manifest, Pod, Rendering, name_of

# What the user makes, by patterns of their names, and their keys.
SECRETS: Final = {
    # One for all, or one for each process (knative/policies/secrets).
    "darkroom-s3(-render|-intake|-archive|-sweep|-operator)?": {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"},
    "darkroom-door": {"token"},
    "darkroom-hub": {"token"},
    # Of components/generate and components/c2pa.
    "darkroom-generate": {"DARKROOM_DOOR_TOKEN"},
    "darkroom-c2pa": {"tls.crt", "tls.key"},
}
YOURS: Final = {
    "Secret": SECRETS,
    # Of components/adapters.
    "ConfigMap": {"darkroom-adapters": {"adapters.json"}},
}


def keys(rendering: Rendering, kind: str, name: str) -> set[str] | None:
    """The keys of a ConfigMap or Secret, None if it is missing."""
    for thing in rendering.kind(kind):
        if thing["metadata"]["name"] == name:
            return {*thing.get("data", {}), *thing.get("stringData", {})}
    return next((has for pattern, has in YOURS[kind].items() if re.fullmatch(pattern, name)), None)


def what_pods_read(rendering: Rendering) -> Iterator[str]:
    """Each ConfigMap, Secret, claim and ServiceAccount of a pod is there, with the keys that it reads."""
    claims = {thing["metadata"]["name"] for thing in rendering.kind("PersistentVolumeClaim")}
    accounts = {thing["metadata"]["name"] for thing in rendering.kind("ServiceAccount")}
    for pod in rendering.pods():
        for kind, name, key in read(pod):
            found = keys(rendering, kind, name)
            if found is None:
                yield f"{pod.name}: there is no {kind} {name}"
            elif key is not None and key not in found:
                yield f"{pod.name}: {kind} {name} has no {key}"
        for volume in pod.spec.get("volumes", []):
            claim = volume.get("persistentVolumeClaim", {}).get("claimName")
            if claim is not None and claim not in claims:
                yield f"{pod.name}: there is no PersistentVolumeClaim {claim}"
        account = pod.spec.get("serviceAccountName", "default")
        if account not in {*accounts, "default"}:
            yield f"{pod.name}: there is no ServiceAccount {account}"


def read(pod: Pod) -> Iterator[tuple[str, str, str | None]]:
    """Kind, name and key of what a pod's containers and volumes read."""
    for box in pod.containers:
        for row in [*box.get("envFrom", []), *(row.get("valueFrom", {}) for row in box.get("env", []))]:
            for field, ref in row.items():
                # configMapRef, secretRef, configMapKeyRef, secretKeyRef.
                kind = {"c": "ConfigMap", "s": "Secret"}.get(field[0])
                if kind is not None:
                    yield kind, ref["name"], ref.get("key")
    for volume in pod.spec.get("volumes", []):
        if "configMap" in volume:
            yield "ConfigMap", volume["configMap"]["name"], None
        if "secret" in volume:
            yield "Secret", volume["secret"]["secretName"], None


def refs(value: Any) -> Iterator[Manifest]:
    """Everything in it that names another object by kind and name."""
    if isinstance(value, dict):
        if isinstance(value.get("kind"), str) and isinstance(value.get("name"), str):
            yield value
        for inner in value.values():
            yield from refs(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from refs(inner)


def what_is_named(rendering: Rendering) -> Iterator[str]:
    """Each subscriber, sink, dead-letter sink, broker, subject and target is there, in the API that it is named in."""
    there = {
        (thing["apiVersion"], thing["kind"], thing["metadata"]["name"], thing["metadata"].get("namespace"))
        for thing in rendering.objects
    }
    for thing in rendering.objects:
        space = thing["metadata"].get("namespace")
        for ref in refs([thing.get("spec"), thing.get("roleRef"), thing.get("subjects")]):
            # Rights name no version: a Role's is their own, a ServiceAccount's that of the core.
            version = ref.get("apiVersion") or (thing["apiVersion"] if ref["kind"] == "Role" else "v1")
            key = (version, ref["kind"], ref["name"], ref.get("namespace", space))
            if key not in there:
                yield f"{name_of(thing)}: there is no {version} {ref['kind']} {ref['name']}"
        if thing["kind"] == "Trigger" and not any(
            there_kind == "Broker" and name == thing["spec"].get("broker") for _, there_kind, name, _ in there
        ):
            yield f"{name_of(thing)}: there is no Broker {thing['spec'].get('broker')}"


def bound_by_label(rendering: Rendering) -> Iterator[str]:
    """What a SinkBinding or a Service selects by labels is there, and a Deployment's own pods."""
    pods = [pod.metadata.get("labels", {}) for pod in rendering.pods()]
    jobs = [thing["spec"]["jobTemplate"].get("metadata", {}).get("labels", {}) for thing in rendering.kind("CronJob")]
    for thing in rendering.objects:
        match thing:
            case {"kind": "SinkBinding", "spec": {"subject": {"selector": {"matchLabels": wanted}}}}:
                found = jobs
            case {"kind": "Service", "apiVersion": "v1", "spec": {"selector": wanted}}:
                found = pods
            case {"kind": "Deployment", "spec": {"selector": {"matchLabels": wanted}, "template": template}}:
                found = [template["metadata"]["labels"]]
            case _:
                continue
        if not any(wanted.items() <= labels.items() for labels in found):
            yield f"{name_of(thing)}: nothing has the labels {wanted}"


def addresses(rendering: Rendering) -> Iterator[str]:
    """Each URL of our own namespace, in variables and arguments, names a Service that is there."""
    services = {thing["metadata"]["name"] for thing in rendering.kind("Service")}
    for thing in rendering.objects:
        text = json.dumps(thing)
        inside = re.findall(r"https?://([a-z0-9-]+)\.darkroom\.svc", text) + re.findall(
            r"https?://([a-z0-9-]+):\d+", text
        )
        for host in sorted(set(inside) - services - {"localhost"}):
            yield f"{name_of(thing)}: there is no Service {host}"


RULES: Final = (what_pods_read, what_is_named, bound_by_label, addresses)
