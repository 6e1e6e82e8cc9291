"""The base with its GPU, its volume and its prefetch: scheduled on a node that pretends, and ready with a model."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest
import yaml

from tests.absent import absent
from tests.darkroom import REPOSITORY
from tests.e2e.cluster import Cluster
from tests.e2e.figures import Figures
from tests.e2e.installation import PATIENCE, Installation, image_of
from tests.e2e.namespaces import OURS, OURS_SELECTED, WORKSHOP, is_ours, made
from tests.e2e.namespaces import WITH_GPU as SPACE
from tests.e2e.pods import bench

pytestmark = pytest.mark.e2e

LABEL: Final = "nvidia.com/gpu.present"
GPU: Final = "nvidia.com/gpu"
# What of the base it takes to draw.
PARTS: Final = {
    ("ConfigMap", "darkroom"),
    ("ServiceAccount", "render"),
    ("ServiceAccount", "prefetch"),
    ("PersistentVolumeClaim", "model"),
    ("Job", "prefetch"),
    ("Service", "render"),
}
RENDER: Final = "serving.knative.dev/service=render"
SETTINGS: Final = sorted((REPOSITORY / "knative" / "cluster").glob("config-*.yaml"))
SHAPES: Final = "/opt/darkroom/models/shapes"
SMALL: Final = {"cpu": "50m", "memory": "512Mi"}
VOLUME: Final = "darkroom-e2e"


def test_the_base_is_scheduled_on_a_gpu_and_ready_with_a_fetched_model(
    installation: Installation, figures: Figures
) -> None:
    cluster = installation.cluster
    needs_flags()
    nodes = cluster.every("nodes")
    if any(GPU in each["status"]["capacity"] and not is_ours(each) for each in nodes):
        pytest.skip("a node has a GPU already, and this story would take it away with the one that it pretends")
    (node, *_) = [each["metadata"]["name"] for each in nodes if "taints" not in each["spec"]]
    image = image_of(cluster, "render")
    base = list(yaml.safe_load_all(cluster("kustomize", str(REPOSITORY / "knative" / "base"))))
    with pretended_gpu(node), volume(node, installation.image), namespace(base):
        began = time.monotonic()
        SPACE.apply(*parts(base, image))
        SPACE.finish("prefetch", PATIENCE)
        fetched = time.monotonic()
        SPACE.wait("condition=Ready", "ksvc/render", seconds=PATIENCE)
        assert SPACE.every("pods", RENDER) == [], "a GPU was woken by nobody"
        with bench(installation.image, "caller") as caller:
            asked = time.monotonic()
            url = f"http://render.{SPACE.namespace}.svc.cluster.local/health/readiness"
            ask = ("exec", caller, "--", "python3", "/programs/ask.py", url, str(PATIENCE))
            assert WORKSHOP(*ask, seconds=PATIENCE).strip() == "ready"
        figures.note("gpu", "prefetch from a local model", fetched - began)
        figures.note("gpu", "from a request at zero to ready", time.monotonic() - asked)
        (pod,) = SPACE.running(RENDER)
        assert pod["spec"]["nodeName"] == node
        (render,) = [each for each in pod["spec"]["containers"] if each["name"] == "user-container"]
        assert render["resources"]["limits"]["nvidia.com/gpu"] == "1"
        listed = SPACE(
            "exec", pod["metadata"]["name"], "--container=user-container", "--", "cat", "/models/sdxl/SHA256SUMS"
        )
        assert "unet/diffusion_pytorch_model.safetensors" in listed


def needs_flags() -> None:
    """Skip where Knative's administrator has not yet allowed what the base asks for."""
    configs = [Cluster("knative-serving").read("configmap", path.stem) for path in SETTINGS]
    wanted = [yaml.safe_load(path.read_text("utf-8"))["data"] for path in SETTINGS]
    if not all(want.items() <= config.get("data", {}).items() for config, want in zip(configs, wanted, strict=True)):
        absent("the cluster's flags are off; `kubectl apply --server-side --kustomize knative/cluster` sets them")


def parts(base: list[dict[str, Any]], image: str) -> Iterator[dict[str, Any]]:
    """The base's own objects, but for a smaller machine, another image, and a model that is in it."""
    chosen = {(each["kind"], each["metadata"]["name"]): each for each in base}
    chosen = {name: each for name, each in chosen.items() if name in PARTS}
    for each in chosen.values():
        each["metadata"]["namespace"] = SPACE.namespace
    yield {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "darkroom-s3", "namespace": SPACE.namespace},
        "stringData": {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "asks"},
    }
    for (kind, _), each in chosen.items():
        if kind == "ConfigMap":
            # The miniature has no half-size weights, and no driver is behind the GPU.
            del each["data"]["DARKROOM_MODEL_VARIANT"]
            each["data"]["DARKROOM_DEVICE"] = "cpu"
        elif kind == "PersistentVolumeClaim":
            each["spec"] |= {"storageClassName": "", "volumeName": VOLUME}
        elif kind == "Job":
            pod = each["spec"]["template"]["spec"]
            (model,), (vae,) = pod["initContainers"], pod["containers"]
            model["args"] = ["prefetch", SHAPES, *model["args"][2:]]
            vae["args"] = ["prefetch", f"{SHAPES}/vae", *vae["args"][2:]]
            model["env"] = [variable for variable in model["env"] if variable["name"] != "DARKROOM_MODEL_VARIANT"]
            for container in (model, vae):
                container |= {"image": image, "resources": {"requests": SMALL}}
        elif kind == "Service":
            (container,) = each["spec"]["template"]["spec"]["containers"]
            container["image"] = image
            container["resources"] |= {"requests": SMALL}
        yield each


@contextmanager
def namespace(base: list[dict[str, Any]]) -> Iterator[None]:
    """A namespace with the rules of the base's own."""
    (ours,) = [each for each in base if each["kind"] == "Namespace"]
    with made(SPACE, ours["metadata"]["labels"]):
        try:
            yield
        except BaseException:
            print(SPACE.portrait())
            raise


@contextmanager
def pretended_gpu(node: str) -> Iterator[None]:
    """The node says that it has a GPU, as NVIDIA's operator would have it say."""

    def has(capacity: str | None) -> None:
        patch = json.dumps({"status": {"capacity": {GPU: capacity}}})
        WORKSHOP("patch", "node", node, "--subresource=status", "--type=merge", "--patch", patch)

    try:
        WORKSHOP("label", "node", node, f"{LABEL}=true", OURS_SELECTED, "--overwrite")
        has("1")
        yield
    finally:
        has(None)
        WORKSHOP("label", "node", node, f"{LABEL}-", *(f"{name}-" for name in OURS))


@contextmanager
def volume(node: str, image: str) -> Iterator[None]:
    """A folder of the node that the pods may write to, as a volume."""
    claimed = {"namespace": SPACE.namespace, "name": "model"}
    spec = {
        "capacity": {"storage": "20Gi"},
        "accessModes": ["ReadWriteOnce"],
        "persistentVolumeReclaimPolicy": "Retain",
        "claimRef": claimed,
        "hostPath": {"path": f"/var/lib/{VOLUME}", "type": "Directory"},
    }
    remove = ("delete", "persistentvolume", f"--selector={OURS_SELECTED}")
    SPACE(*remove, seconds=PATIENCE)
    try:
        folder(node, image, f"os.makedirs('/node/{VOLUME}', exist_ok=True); os.chown('/node/{VOLUME}', 65532, 65532)")
        metadata = {"name": VOLUME, "labels": {**OURS}}
        SPACE.apply({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": metadata, "spec": spec})
        yield
    finally:
        SPACE(*remove, seconds=PATIENCE)
        folder(node, image, f"shutil.rmtree('/node/{VOLUME}', ignore_errors=True)")


def folder(node: str, image: str, what: str) -> None:
    """Do something in the node's /var/lib."""
    container = {
        "name": "program",
        "image": image,
        "command": ["python3", "-c", f"import os, shutil; {what}"],
        "securityContext": {"runAsUser": 0, "runAsGroup": 0},
        "volumeMounts": [{"name": "node", "mountPath": "/node"}],
    }
    spec = {
        "nodeName": node,
        "restartPolicy": "Never",
        "containers": [container],
        "volumes": [{"name": "node", "hostPath": {"path": "/var/lib"}}],
    }
    WORKSHOP.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "folder"}, "spec": spec})
    try:
        WORKSHOP.wait("jsonpath={.status.phase}=Succeeded", "pod/folder", seconds=PATIENCE)
    finally:
        WORKSHOP("delete", "pod", "folder")
