"""What the API server itself says of every overlay, and of six that are broken: nothing of it is created."""

from __future__ import annotations

import copy
import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any, Final

import pytest

from tests.e2e.cluster import Cluster
from tests.e2e.figures import Figures
from tests.e2e.namespaces import DRY_RUN, made
from tests.manifests.broken import REFUSED, Broken
from tests.manifests.rendering import installations, overlays, rendered
from tests.manifests.strict import faults

pytestmark = pytest.mark.e2e

# As Darkroom's own namespace; what would be refused there later is told as a warning now.
SECURITY: Final = {f"pod-security.kubernetes.io/{how}": "restricted" for how in ("enforce", "warn")}
# In which words each of them is refused: for its fault, and not for want of something else.
REFUSALS: Final = {
    "an autoscaling annotation on the Service": "autoscaling annotations must be put under",
    "two dialects in one filter": "multiple dialects found",
    "a timeout over the maximum": "expected 0 <= 601 <= 600: spec.template.spec.timeoutSeconds",
    "a flag that is off": "must not set the field(s): spec.template.spec.schedulerName",
    "a bad quantity": "quantities must match the regular expression",
    "an unknown field": 'strict decoding error: unknown field "spec.template.spec.timeoutSecond"',
}


@pytest.fixture(scope="module")
def space(cluster: Cluster) -> Iterator[Cluster]:
    """A namespace with nothing but accounts, without which no pod is tried: whatever is there would be compared."""
    space = replace(cluster, namespace=DRY_RUN.namespace)
    names = {each["metadata"]["name"] for each in rendered("base").kind("ServiceAccount")}
    with made(space, SECURITY):
        space.apply(*({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": each}} for each in names))
        yield space


# Each component once, on what it is mostly put on; with all there are, nothing else would be seen, in half an hour.
WITH: Final = {
    component: folder for folder, _, component in (each.partition(" + ") for each in installations()) if component
}


@pytest.mark.parametrize(
    "folder", ["base", *overlays(), *(f"{folder} + {component}" for component, folder in WITH.items())]
)
def test_every_overlay_is_taken(space: Cluster, figures: Figures, folder: str) -> None:
    everything = rendered(folder).objects
    known = [each for each in everything if serves(space, each["apiVersion"], each["kind"])]
    answer = dry_run(space, known)
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr == ""
    # Of what this cluster has no definition, the vendored schema has to be enough.
    unknown = [each for each in everything if each not in known]
    assert [sentence for each in unknown for sentence in faults(each)] == []
    kinds = f"; by schema alone: {', '.join(sorted({each['kind'] for each in unknown}))}" if unknown else ""
    figures.note("overlays", folder, f"{len(known)} of {len(everything)} objects taken{kinds}")


@pytest.mark.parametrize("broken", REFUSED, ids=lambda broken: broken.fault)
def test_every_broken_one_is_refused(space: Cluster, figures: Figures, broken: Broken) -> None:
    answer = dry_run(space, [broken.rendering.get(broken.target)])
    assert answer.returncode != 0
    assert REFUSALS[broken.fault] in answer.stderr
    figures.note("overlays", f"broken: {broken.fault}", "refused")


def dry_run(space: Cluster, objects: list[dict[str, Any]]) -> subprocess.CompletedProcess[str]:
    """What the API server would say to these, in the empty namespace."""
    objects = copy.deepcopy(objects)
    for each in objects:
        if "namespace" in each["metadata"]:
            each["metadata"]["namespace"] = space.namespace
    # One by one: the fields of a List's items are checked by kubectl, and not by the server.
    documents = "\n---\n".join(json.dumps(each) for each in objects)
    return space.run("apply", "--dry-run=server", "--filename", "-", stdin=documents)


@cache
def serves(space: Cluster, version: str, kind: str) -> bool:
    """Whether the cluster knows a kind."""
    path = f"/apis/{version}" if "/" in version else f"/api/{version}"
    answer = space.run("get", "--raw", path)
    return answer.returncode == 0 and kind in {each["kind"] for each in json.loads(answer.stdout)["resources"]}
