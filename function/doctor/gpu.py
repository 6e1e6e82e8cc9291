"""The GPU: as torch sees it where pictures are drawn, else as the cluster's nodes offer it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Final

from function.config import Settings
from function.doctor.cluster import Cluster, notes_of, patching, resource
from function.doctor.finding import Check, Finding, looked_at

SEEN = Check(
    "gpu-seen", "torch sees a GPU, where torch is installed and `DARKROOM_DEVICE` is not cpu", "the node's driver"
)
OFFERED = Check(
    "gpu-offered",
    "the nodes offer as many `nvidia.com/gpu` as render's max-scale, if render asks for one",
    "NVIDIA's GPU operator, or another max-scale",
)
# In a process of its own: torch takes seconds to import and hundreds of megabytes, and a broken driver may hang it.
_ASK: Final = "import torch; found = torch.cuda.is_available(); print(torch.cuda.get_device_name() if found else '')"
PATIENCE: Final = 60.0
RESOURCE: Final = "nvidia.com/gpu"
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

    def __init__(self, settings: Settings, cluster: Cluster) -> None:
        self._settings = settings
        self._cluster = cluster

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
                [sys.executable, "-c", _ASK], capture_output=True, text=True, timeout=PATIENCE, check=False
            )
        except subprocess.TimeoutExpired:
            return SEEN.unknown(f"torch says nothing of a GPU within {PATIENCE:g} s")
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
        containers = render["spec"]["template"]["spec"]["containers"] if render else ()
        wanted = sum(int(container.get("resources", {}).get("limits", {}).get(RESOURCE, 0)) for container in containers)
        if render is None or not wanted:
            yield OFFERED.skipped("render asks for no GPU" if render else "there is no Service render yet")
            return
        there = self._cluster.gpus()
        most = int(notes_of(render).get(MAX_SCALE, 0))
        if not there:
            yield OFFERED.wrong(f"render asks for {RESOURCE}, and no node offers any", OPERATOR)
        elif wanted > there:
            yield OFFERED.wrong(
                f"one pod of render asks for {wanted} {RESOURCE}, and the nodes offer {there}", OPERATOR
            )
        elif most * wanted > there:
            fewer = {"spec": {"template": {"metadata": {"annotations": {MAX_SCALE: str(there // wanted)}}}}}
            yield OFFERED.wrong(
                f"render may come to {most} pods of {wanted} GPU, and the nodes offer {there}: the rest stays pending",
                patching(self._cluster.namespace, resource("Service", "render"), fewer),
            )
        else:
            yield OFFERED.ok(
                f"the nodes offer {there} {RESOURCE}, and render may come to {most or 'any number of'} pods"
            )
