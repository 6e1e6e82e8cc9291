"""The workshop: the namespace for pods of the tests' own, which run programs with nothing but python3."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.e2e.cluster import Manifest
from tests.e2e.namespaces import WORKSHOP, made

PROGRAMS: Final = Path(__file__).parent / "in_the_cluster"


@contextmanager
def workshop(*, keep: bool) -> Iterator[None]:
    """The namespace, in which a pod may see its node, with the programs."""
    with made(WORKSHOP, {"pod-security.kubernetes.io/enforce": "privileged"}, keep=keep):
        texts = {path.name: path.read_text("utf-8") for path in PROGRAMS.glob("*.py")}
        WORKSHOP.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "programs"}, "data": texts})
        yield


def program(image: str, name: str, **pod: Any) -> dict[str, Any]:
    """The spec of a pod that runs one of the programs; `pod` has more fields of it."""
    container = {
        "name": "program",
        "image": image,
        "command": ["python3", "-u", f"/programs/{name}.py"],
        "volumeMounts": [{"name": "programs", "mountPath": "/programs", "readOnly": True}],
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
    }
    return {
        "enableServiceLinks": False,
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 1,
        "containers": [container],
        "volumes": [{"name": "programs", "configMap": {"name": "programs"}}],
    } | pod


@contextmanager
def bench(image: str, name: str, **pod: Any) -> Iterator[str]:
    """A pod that waits to be told what to do: `WORKSHOP("exec", name, "--", "python3", "/programs/….py")`."""
    spec = program(image, "wait", **pod)
    manifest: Manifest = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
    WORKSHOP.apply(manifest)
    try:
        WORKSHOP.wait("condition=Ready", f"pod/{name}", seconds=300)
        yield name
    finally:
        WORKSHOP("delete", "pod", name, "--wait=false")
