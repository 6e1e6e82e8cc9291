"""Namespaces of the tests' own: made by a run and gone after it; what somebody else has made is not touched."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, Final

import pytest

from tests.e2e.cluster import Cluster, KubectlFailed, Manifest, until

DARKROOM: Final = Cluster("darkroom")
WORKSHOP: Final = Cluster("darkroom-e2e")
WITH_GPU: Final = Cluster("darkroom-gpu")
DRY_RUN: Final = Cluster("darkroom-dry-run")

# What all that these tests make for the whole cluster says of itself.
OURS: Final[Mapping[str, str]] = MappingProxyType({"darkroom.dev/e2e": "true"})
OURS_SELECTED: Final = ",".join(f"{name}={value}" for name, value in OURS.items())
# In Darkroom's namespace a pod may take ten minutes for its last render.
GONE_WITHIN: Final = 660.0


def is_ours(manifest: Manifest) -> bool:
    """Whether these tests have made an object, and so may delete it."""
    return bool(OURS.items() <= manifest["metadata"].get("labels", {}).items())


def refuse_foreign(*spaces: Cluster) -> None:
    """End everything here if one of the namespaces, of all if none is named, is somebody else's."""
    for space in spaces or (DARKROOM, WORKSHOP, WITH_GPU, DRY_RUN):
        there = _read(space)
        if there and not is_ours(there):
            pytest.exit(
                f"there is a namespace {space.namespace} that these tests did not make, and they would delete it; "
                f"if they may, `kubectl label namespace {space.namespace} {OURS_SELECTED}`",
                2,
            )


@contextmanager
def made(space: Cluster, labels: Mapping[str, str] | None = None, *, keep: bool = False) -> Iterator[None]:
    """The namespace, without what a run that was killed has left there, and gone afterwards; `keep` keeps both."""
    if not keep:
        remove(space)
    if not _read(space):
        metadata = {"name": space.namespace, "labels": {**OURS, **(labels or {})}}
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
        # Not apply, which would take over what somebody makes just now.
        space("create", "--filename=-", stdin=json.dumps(namespace))
    try:
        yield
    finally:
        if not keep:
            remove(space)


def remove(space: Cluster) -> None:
    """Delete the namespace and all that is in it, if it is there."""
    if not _read(space):
        return
    refuse_foreign(space)
    # First what has pods: a namespace waits for half of the time that they may take.
    space("delete", "cronjob,ksvc,job,deployment,pod", "--all", seconds=GONE_WITHIN)
    until(lambda: not space.every("pods"), f"the pods of {space.namespace} end", GONE_WITHIN)
    space("delete", "namespace", space.namespace, "--ignore-not-found", seconds=GONE_WITHIN)


def _read(space: Cluster) -> dict[str, Any] | None:
    found = space.run("get", "namespace", space.namespace, "--ignore-not-found", "--output=json")
    if found.returncode:
        raise KubectlFailed(found.stderr.strip())
    return json.loads(found.stdout) if found.stdout else None
