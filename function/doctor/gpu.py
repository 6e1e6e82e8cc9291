"""The GPU: as torch sees it where pictures are drawn, else as the cluster's nodes offer it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from function.config import Settings
from function.doctor.cluster import Cluster, Found, notes_of, patching, resource
from function.doctor.finding import Check, Finding, looked_at

if TYPE_CHECKING:
    from lightkube.models.core_v1 import Node, Taint

SEEN = Check(
    "gpu-seen", "torch sees a GPU, where torch is installed and `DARKROOM_DEVICE` is not cpu", "the node's driver"
)
OFFERED = Check(
    "gpu-offered",
    "the nodes that render may run on, by its nodeSelector and tolerations, offer `nvidia.com/gpu` for its max-scale",
    "NVIDIA's GPU operator, a label, a toleration, or another max-scale",
)
# In a process of its own: torch takes seconds to import and hundreds of megabytes, and a broken driver may hang it.
_ASK: Final = "import torch; found = torch.cuda.is_available(); print(torch.cuda.get_device_name() if found else '')"
PATIENCE: Final = 60.0
RESOURCE: Final = "nvidia.com/gpu"
# It comes with a node that is there; every other label of a nodeSelector may be a promise of whoever makes nodes.
PRESENT: Final = "nvidia.com/gpu.present"
MAX_SCALE: Final = "autoscaling.knative.dev/max-scale"
OPERATOR: Final = (
    "helm upgrade --install gpu-operator gpu-operator --repo https://helm.ngc.nvidia.com/nvidia "
    "--namespace gpu-operator --create-namespace"
)


class Gpu:
    """What renders."""

    name = "gpu"
    checks = (SEEN, OFFERED)
    seconds = PATIENCE + 10

    def __init__(self, settings: Settings, cluster: Cluster, patience: float = 1.0) -> None:
        self._settings = settings
        self._cluster = cluster
        self._seconds = PATIENCE * patience

    def run(self) -> Iterator[Finding]:
        yield self._seen()
        if self._cluster.named():
            yield from looked_at(OFFERED, self._offered)
        else:
            yield OFFERED.skipped("no cluster is named by a service account or KUBECONFIG")

    def _seen(self) -> Finding:
        if find_spec("torch") is None:
            return SEEN.skipped("torch is not installed here")
        if self._settings.device == "cpu":
            return SEEN.skipped("DARKROOM_DEVICE is cpu")
        try:
            asked = subprocess.run(  # noqa: S603  # our own words
                [sys.executable, "-c", _ASK], capture_output=True, text=True, timeout=self._seconds, check=False
            )
        except subprocess.TimeoutExpired:
            return SEEN.unknown(f"torch says nothing of a GPU within {self._seconds:g} s")
        if asked.returncode:
            return SEEN.wrong(
                f"torch cannot be loaded: exit code {asked.returncode}", f"{sys.executable} -c 'import torch'"
            )
        if name := asked.stdout.strip():
            return SEEN.ok(f"torch sees a GPU: {name}")
        if self._settings.device == "cuda":
            return SEEN.wrong("DARKROOM_DEVICE is cuda, but torch sees no GPU", "nvidia-smi")
        return SEEN.skipped("torch sees no GPU here, so pictures would be drawn on the CPU")

    def _offered(self) -> Iterator[Finding]:
        render = self._cluster.one("Service", "render")
        pod: Found = render["spec"]["template"]["spec"] if render else {}
        limits = [container.get("resources", {}).get("limits", {}) for container in pod.get("containers", ())]
        wanted = sum(int(limit.get(RESOURCE, 0)) for limit in limits)
        if render is None or not wanted:
            yield OFFERED.skipped("render asks for no GPU" if render else "there is no Service render of Knative's")
            return
        offering = [node for node in self._cluster.nodes() if _offer(node)]
        refusals = [self._refusal(node, pod) for node in offering]
        if refusals and all(refusals):
            yield next(filter(None, refusals))
            return
        offers = [_offer(node) for node, refusal in zip(offering, refusals, strict=True) if refusal is None]
        # A pod's GPUs are those of one node.
        there, room, most = (
            sum(offers),
            sum(offer // wanted for offer in offers),
            int(notes_of(render).get(MAX_SCALE, 0)),
        )
        fewer = {"spec": {"template": {"metadata": {"annotations": {MAX_SCALE: str(room)}}}}}
        patch = patching(self._cluster.namespace, resource("Service", "render"), fewer)
        if not there:
            yield _lacking(pod, f"render asks for {RESOURCE}, and no node offers any", OPERATOR)
        elif not room:
            yield _lacking(pod, f"a pod of render asks for {wanted} {RESOURCE}, and no node offers as many", OPERATOR)
        elif not most:
            yield _lacking(pod, f"render has no max-scale, and the nodes have GPUs for {room} of its pods", patch)
        elif most > room:
            said = f"render may come to {most} pods of {wanted} GPU, and the nodes offer {there}"
            yield _lacking(pod, said, patch)
        else:
            yield OFFERED.ok(f"the nodes offer {there} {RESOURCE} to render, which may come to {most} pods")

    def _refusal(self, node: Node, pod: Found) -> Finding | None:
        """Why Kubernetes puts no pod of render on a node that has a GPU, None if it may."""
        name = (node.metadata and node.metadata.name) or "?"
        labels = (node.metadata and node.metadata.labels) or {}
        for label, value in pod.get("nodeSelector", {}).items():
            if labels.get(label) != value:
                return _lacking(
                    pod,
                    f"node {name} has GPUs, but not the label {label}={value} of render's nodeSelector",
                    f"kubectl label nodes {name} {label}={value}  # or name another in $OVERLAY, for prefetch, too",
                )
        tolerations: list[Any] = pod.get("tolerations") or []
        for taint in (node.spec and node.spec.taints) or ():
            if taint.effect == "PreferNoSchedule" or any(_tolerated(taint, one) for one in tolerations):
                continue
            said = f"node {name} has GPUs, and the taint {taint.key}:{taint.effect} that render does not tolerate"
            if "kubernetes.io/" in taint.key:
                return OFFERED.wrong(said, f"kubectl describe node {name}")
            one = {"key": taint.key, "operator": "Exists", "effect": taint.effect}
            more = {"spec": {"template": {"spec": {"tolerations": [*tolerations, one]}}}}
            patch = patching(self._cluster.namespace, resource("Service", "render"), more)
            return OFFERED.wrong(said, f"{patch}  # and for prefetch in $OVERLAY")
        return None


def _lacking(pod: Found, said: str, mend: str) -> Finding:
    """Wrong where nodes stay; unknown where they may be made when a pod asks for them, as by Karpenter."""
    if PRESENT in pod.get("nodeSelector", {}):
        return OFFERED.wrong(said, mend)
    return OFFERED.unknown(f"{said} now; one that is made when it is asked for cannot be seen")


def _offer(node: Node) -> int:
    return int(((node.status and node.status.allocatable) or {}).get(RESOURCE, 0))


def _tolerated(taint: Taint, toleration: Mapping[str, str]) -> bool:
    """As the scheduler compares them; what a toleration leaves out it says of all."""
    if toleration.get("effect") not in (None, "", taint.effect):
        return False
    if toleration.get("operator") == "Exists":
        return toleration.get("key") in (None, "", taint.key)
    return toleration.get("key") == taint.key and (toleration.get("value") or "") == (taint.value or "")
