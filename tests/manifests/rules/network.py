"""Who reaches which pod: NetworkPolicies, which no API checks, for a wrong one is as good as none or keeps all out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from tests.manifests.rendering import Manifest, Pod, Rendering, name_of

# Of the queue-proxy that Knative puts into each pod: HTTP/1, HTTP/2, HTTPS, and for the autoscaler.
QUEUE_PROXY: Final = {8012, 8013, 8112, 9090}


def selects(selector: Manifest, labels: dict[str, str]) -> bool:
    """Whether a selector takes something with these labels; an empty one takes everything."""
    wanted: dict[str, str] = selector.get("matchLabels", {})
    return wanted.items() <= labels.items() and all(_holds(row, labels) for row in selector.get("matchExpressions", []))


def _holds(row: Manifest, labels: dict[str, str]) -> bool:
    value, values = labels.get(row["key"]), row.get("values", [])
    match row["operator"]:
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "In":
            return value in values
        case "NotIn":
            return value not in values
    raise ValueError(f"{row['operator']} is no operator of a selector")


def ports(pod: Pod) -> set[Any]:
    """Where a pod listens, by number and by name."""
    declared = [port for box in pod.containers for port in box.get("ports", [])]
    found = {port[key] for port in declared for key in ("containerPort", "name") if key in port}
    return found | (QUEUE_PROXY if pod.of_knative else set())


def selected(thing: Manifest, rendering: Rendering) -> list[Pod]:
    """The pods that a NetworkPolicy or a PodMonitor is about."""
    selector = thing["spec"]["podSelector" if thing["kind"] == "NetworkPolicy" else "selector"]
    space = thing["metadata"].get("namespace")
    return [pod for pod in rendering.pods() if pod.namespace == space and selects(selector, pod.labels)]


def opened(policy: Manifest) -> list[Any]:
    """The ports that a policy opens."""
    return [port["port"] for rule in policy["spec"].get("ingress", []) for port in rule["ports"]]


def policies_have_pods(rendering: Rendering) -> Iterator[str]:
    """Each NetworkPolicy and each PodMonitor selects pods that are there."""
    for kind in ("NetworkPolicy", "PodMonitor"):
        for thing in rendering.kind(kind):
            if not selected(thing, rendering):
                yield f"{name_of(thing)}: selects no pod that is there"


def policies_open_what_listens(rendering: Rendering) -> Iterator[str]:
    """A NetworkPolicy opens ports, and only to those who are named, on which each pod that it selects listens."""
    for policy in rendering.kind("NetworkPolicy"):
        for rule in policy["spec"].get("ingress", []):
            if not (rule.get("from") and rule.get("ports")):
                yield f"{name_of(policy)}: lets everyone in, or in to every port"
                return
        for pod in selected(policy, rendering):
            for port in opened(policy):
                if port not in ports(pod):
                    yield f"{name_of(policy)}: opens {port}, but {pod.name} does not listen there"


def servers_are_reached(rendering: Rendering) -> Iterator[str]:
    """What listens is shut by one NetworkPolicy, as every pod is, and opened by another."""
    policies = [
        policy for policy in rendering.kind("NetworkPolicy") if policy["spec"].get("policyTypes") == ["Ingress"]
    ]
    for pod in filter(ports, rendering.pods()):
        about = [policy for policy in policies if pod in selected(policy, rendering)]
        if not any(opened(policy) for policy in about):
            yield f"{pod.name}: no NetworkPolicy lets anyone in"
    for pod in rendering.pods():
        if not any(policy["spec"]["podSelector"] == {} and pod in selected(policy, rendering) for policy in policies):
            yield f"{pod.name}: no NetworkPolicy of its namespace shuts all pods"


def monitors_are_let_in(rendering: Rendering) -> Iterator[str]:
    """Where a PodMonitor has Prometheus look, the pod listens, and a NetworkPolicy lets someone in."""
    policies = list(rendering.kind("NetworkPolicy"))
    for monitor in rendering.kind("PodMonitor"):
        asked = {end.get("portNumber", end.get("port")) for end in monitor["spec"]["podMetricsEndpoints"]}
        for pod in selected(monitor, rendering):
            open_here = {port for policy in policies if pod in selected(policy, rendering) for port in opened(policy)}
            for port in asked - (ports(pod) & open_here):
                yield f"{name_of(monitor)}: {port} of {pod.name} is not open, or nothing listens there"


RULES: Final = (policies_have_pods, policies_open_what_listens, servers_are_reached, monitors_are_let_in)
