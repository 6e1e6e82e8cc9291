"""The images that `make image` has built, brought to the cluster's node."""

from __future__ import annotations

import os
import shlex
from typing import Final

import pytest

from tests.e2e.cluster import Cluster
from tests.images.loading import NotLoaded, load

NAMES: Final = tuple(f"dev.local/darkroom-{name}:local" for name in ("intake", "render-demo", "minio"))


def load_images(cluster: Cluster) -> None:
    """Have the node hold the images; everything ends here where nobody says how it gets them."""
    identity = cluster("get", "namespace", "kube-system", "--output", "jsonpath={.metadata.uid}")
    try:
        load(NAMES, shlex.split(os.environ.get("E2E_LOAD") or _kind(cluster)), cluster=identity)
    except NotLoaded as error:
        pytest.exit(f"the images were not loaded: {error}", 2)


def _kind(cluster: Cluster) -> str:
    """How a kind cluster of one node takes images: the node is a container of the same name."""
    nodes = [each["metadata"]["name"] for each in cluster.every("nodes")]
    if not cluster("config", "current-context").startswith("kind-") or len(nodes) > 1:
        pytest.exit(
            "how does the cluster get its images? Name in E2E_LOAD the command that takes an archive of them on its "
            "standard input, such as `ctr --namespace k8s.io images import -` on the node",
            2,
        )
    return f"docker exec --interactive {nodes[0]} ctr --namespace k8s.io images import -"
