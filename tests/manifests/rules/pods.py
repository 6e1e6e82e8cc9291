"""What holds for every pod and object that we install, whoever makes it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from function.config import Settings, WrongSettings, unknown
from tests.manifests.rendering import Manifest, Pod, Rendering, name_of
from tests.manifests.rules.references import keys

NAMESPACE: Final = "darkroom"
COMPONENTS: Final = {
    *("intake", "render", "sweep", "archive", "prefetch"),
    # A store to try things out with, AWS's queue, and who looks after all of it.
    *("minio", "buckets", "queue", "doctor"),
}
# Where the doctor has a right to look.
KNATIVE: Final = {"knative-serving", "knative-eventing"}
# Variables of libraries below us.
THEIRS: Final = re.compile(
    "AWS_(ACCESS_KEY_ID|SECRET_ACCESS_KEY|REGION|ENDPOINT_URL_S3|CA_BUNDLE|STS_REGIONAL_ENDPOINTS)"
    "|HF_(HOME|TOKEN|HUB_OFFLINE)|OMP_NUM_THREADS|HOME|TMPDIR"
)
UNITS: Final = {
    **{
        unit: Decimal(1000) ** power for power, unit in enumerate(("n", "u", "m", "", "k", "M", "G", "T", "P", "E"), -3)
    },
    **{f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGTPE", 1)},
}


def quantity(value: str | float) -> Decimal:
    """How much `500m`, `24Gi` or `1e3` is; `ValueError` for what is none."""
    match = re.fullmatch(r"([+-]?[0-9.]+(?:[eE][+-]?\d+)?)([a-zA-Z]*)", str(value))
    if match is None or match[2] not in UNITS:
        raise ValueError(f"{value!r} is no quantity")
    return Decimal(match[1]) * UNITS[match[2]]


def variables(box: Manifest, rendering: Rendering) -> dict[str, str]:
    """A container's environment, as far as it is written down; of what is secret, the name and no value."""
    found: dict[str, str] = {}
    for source in box.get("envFrom", []):
        if "configMapRef" in source:
            found |= rendering.get(f"ConfigMap/{source['configMapRef']['name']}").get("data", {})
        elif "secretRef" in source:
            found |= dict.fromkeys(keys(rendering, "Secret", source["secretRef"]["name"]) or (), "secret")
    for row in box.get("env", []):
        if "value" in row:
            found[row["name"]] = row["value"]
        else:
            found[row["name"]] = "secret"
    return found


def ours(box: Manifest) -> bool:
    """Whether the container is one of Darkroom's own processes."""
    return bool(re.search(r"darkroom-(intake|render)", box["image"]))


def no_service_links(rendering: Rendering) -> Iterator[str]:
    """No pod has service links: a Service named darkroom would set DARKROOM_PORT in it."""
    for pod in rendering.pods():
        if pod.spec.get("enableServiceLinks") is not False:
            yield f"{pod.name}: enableServiceLinks is not false"


def confined(rendering: Rendering) -> Iterator[str]:
    """Every container keeps the restricted standard, with a numeric user and a root that nobody writes to."""
    for pod in rendering.pods():
        for box in pod.containers:
            has = {**pod.spec.get("securityContext", {}), **box.get("securityContext", {})}
            wrong = [
                name
                for name, right in {
                    "runAsNonRoot": has.get("runAsNonRoot") is True,
                    "runAsUser": isinstance(has.get("runAsUser"), int) and has["runAsUser"] > 0,
                    "allowPrivilegeEscalation": has.get("allowPrivilegeEscalation") is False,
                    "readOnlyRootFilesystem": has.get("readOnlyRootFilesystem") is True,
                    "capabilities": has.get("capabilities") == {"drop": ["ALL"]},
                    "seccompProfile": has.get("seccompProfile", {}).get("type") == "RuntimeDefault",
                    "privileged": not has.get("privileged"),
                }.items()
                if not right
            ]
            if wrong:
                yield f"{pod.name}: securityContext: {', '.join(wrong)}"
        if any(pod.spec.get(field) for field in ("hostNetwork", "hostPID", "hostIPC")):
            yield f"{pod.name}: shares what is the node's"


def resources(rendering: Rendering) -> Iterator[str]:
    """Every container asks for CPU and memory, and has a limit of memory; what is asked for is within the limits."""
    for pod in rendering.pods():
        for box in pod.containers:
            asked, most = (box.get("resources", {}).get(key, {}) for key in ("requests", "limits"))
            if not {"cpu", "memory"} <= asked.keys() or "memory" not in most:
                yield f"{pod.name}: must have requests of cpu and memory, and a limit of memory"
            for what in asked.keys() & most.keys():
                if quantity(asked[what]) > quantity(most[what]):
                    yield f"{pod.name}: asks for more {what} than its limit"
            if quantity(most.get("nvidia.com/gpu", 0)) % 1:
                yield f"{pod.name}: a GPU cannot be divided"


def images(rendering: Rendering) -> Iterator[str]:
    """Every image has a tag that is not latest, or a digest; in the base it has neither, for an overlay to set."""
    for pod in rendering.pods():
        for box in pod.containers:
            name, _, tag = box["image"].rpartition("/")[2].partition(":")
            bare = box["image"] in {"darkroom-intake", "darkroom-render"}
            if not bare and "@sha256:" not in box["image"] and tag in {"", "latest"}:
                yield f"{pod.name}: {box['image']} has no tag of its own, so nobody knows which {name} runs"


def settings(rendering: Rendering) -> Iterator[str]:
    """Every variable of our processes is a setting, with a value that can be used, or a known one of a library."""
    for pod in rendering.pods():
        for box in filter(ours, pod.containers):
            has = variables(box, rendering)
            yield from (f"{pod.name}: {sentence}" for sentence in unknown(has))
            for name in sorted(has):
                if not name.startswith("DARKROOM_") and not THEIRS.fullmatch(name):
                    yield f"{pod.name}: {name} is no variable that anything here reads"
            try:
                Settings.from_environment(has)
            except WrongSettings as wrong:
                yield f"{pod.name}: {wrong}"


def accounts(rendering: Rendering) -> Iterator[str]:
    """No pod holds a token for Kubernetes' API, for none talks to it but the doctor's."""
    silent = {
        thing["metadata"]["name"]
        for thing in rendering.kind("ServiceAccount")
        if thing.get("automountServiceAccountToken") is False
    }
    for pod in rendering.pods():
        own = pod.spec.get("automountServiceAccountToken")
        account = pod.spec.get("serviceAccountName")
        if own is not False and (own or account not in silent) and account != "doctor":
            yield f"{pod.name}: has a token for Kubernetes' API"


def mounted(rendering: Rendering) -> Iterator[str]:
    """Every mount has its volume, each at a path of its own."""
    for pod in rendering.pods():
        for box in pod.containers:
            paths = [mount["mountPath"] for mount in box.get("volumeMounts", [])]
            if len(set(paths)) < len(paths):
                yield f"{pod.name}: mounts two volumes at one path"
            for mount in box.get("volumeMounts", []):
                if not pod.volume(mount["name"]):
                    yield f"{pod.name}: there is no volume {mount['name']}"


def same_nodes(rendering: Rendering) -> Iterator[str]:
    """What shares a claim runs on the same nodes: its volume is made where the first pod runs, and may not move."""
    first: dict[str, Pod] = {}
    for pod in rendering.pods():
        for volume in pod.spec.get("volumes", []):
            claim = volume.get("persistentVolumeClaim", {}).get("claimName")
            if claim is None:
                continue
            other = first.setdefault(claim, pod)
            if any(other.spec.get(field) != pod.spec.get(field) for field in ("nodeSelector", "tolerations")):
                yield f"{pod.name}: shares {claim} with {other.name}, which runs on other nodes"


def labels(rendering: Rendering) -> Iterator[str]:
    """Every object says that it is Darkroom's, every pod which part of it, in labels that Kubernetes takes."""
    for thing in rendering.objects:
        yield from _labels(name_of(thing), thing["metadata"].get("labels", {}), component=False)
    for pod in rendering.pods():
        yield from _labels(pod.name, pod.metadata.get("labels", {}), component=True)


def _labels(name: str, found: dict[str, str], *, component: bool) -> Iterator[str]:
    if found.get("app.kubernetes.io/name") != "darkroom":
        yield f"{name}: has no label app.kubernetes.io/name: darkroom"
    part = found.get("app.kubernetes.io/component")
    if part not in COMPONENTS and (component or part is not None):
        yield f"{name}: {part} is no component of ours"
    for key, value in found.items():
        if not re.fullmatch("(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?", value) or len(value) > 63:
            yield f"{name}: {key}: {value!r} is no value of a label"


def names(rendering: Rendering) -> Iterator[str]:
    """Names are such as Kubernetes takes, no two objects have one, and all are in our namespace."""
    seen = set()
    made = {thing["metadata"]["name"] for thing in rendering.kind("Namespace")}
    for thing in rendering.objects:
        metadata = thing["metadata"]
        key = (thing["apiVersion"].partition("/")[0], thing["kind"], metadata["name"], metadata.get("namespace"))
        if key in seen:
            yield f"{name_of(thing)}: is there twice"
        seen.add(key)
        # A Knative Service's name is part of a host's, which has no dots inside.
        label = r"[a-z]([-a-z0-9]*[a-z0-9])?"
        pattern = label if thing["kind"] == "Service" else rf"[a-z0-9][-a-z0-9]*(\.{label})*"
        if not re.fullmatch(pattern, metadata["name"]) or len(metadata["name"]) > 52:
            yield f"{name_of(thing)}: is no name that Kubernetes takes"
        spaces = made | KNATIVE if thing["kind"] in {"Role", "RoleBinding"} else made
        if thing["kind"] != "Namespace" and metadata.get("namespace") not in spaces:
            yield f"{name_of(thing)}: namespace {metadata.get('namespace')} is none of ours"
    if NAMESPACE not in made:
        yield f"Namespace/{NAMESPACE}: is not made"


RULES: Final = (no_service_links, confined, resources, images, settings, accounts, mounted, same_nodes, labels, names)
