"""Components do what they are there for; that they break no rule, above any overlay, is with the other rules."""

from __future__ import annotations

import re
from typing import Final

import pytest

from function.metrics import Metrics
from tests.checks.tree import ROOT
from tests.manifests.rendering import Manifest, Rendering, rendered
from tests.manifests.rules.network import selected
from tests.manifests.rules.references import refs

NODES: Final = {
    "gke": {"cloud.google.com/gke-accelerator": "nvidia-l4"},
    "karpenter": {"karpenter.k8s.aws/instance-gpu-manufacturer": "nvidia"},
    "eks-auto": {"eks.amazonaws.com/instance-gpu-manufacturer": "nvidia"},
}


@pytest.mark.parametrize("folder", ["base", "overlays/keda"])
@pytest.mark.parametrize("cloud", NODES)
def test_what_wants_a_gpu_goes_to_the_nodes_of_that_cloud(cloud: str, folder: str) -> None:
    def choosing(rendering: Rendering) -> dict[str, Manifest]:
        return {pod.name: pod.spec["nodeSelector"] for pod in rendering.pods() if "nodeSelector" in pod.spec}

    before, after = choosing(rendered(folder)), choosing(rendered(f"{folder} + components/gpu/{cloud}"))
    assert len(before) == 2
    assert after == dict.fromkeys(before, NODES[cloud])


def test_a_job_under_gitops_stays_and_is_made_anew_when_it_changes() -> None:
    jobs = list(rendered("base + components/gitops").kind("Job"))
    assert jobs
    for job in jobs:
        assert "ttlSecondsAfterFinished" not in job["spec"]
        assert job["metadata"]["annotations"] == {
            "argocd.argoproj.io/sync-options": "Force=true,Replace=true",
            "kustomize.toolkit.fluxcd.io/force": "enabled",
        }


@pytest.mark.parametrize("folder", ["overlays/aws", "overlays/ceph", "overlays/minio"])
def test_with_kafka_as_the_broker_nothing_is_left_of_the_channel_and_the_archive(folder: str) -> None:
    rendering = rendered(f"{folder} + components/kafka-broker")
    broker = rendering.get("Broker/darkroom")
    assert broker["metadata"]["annotations"] == {"eventing.knative.dev/broker.class": "Kafka"}
    letters = [thing["spec"]["delivery"]["deadLetterSink"]["ref"] for thing in [broker, *rendering.kind("Trigger")]]
    assert {(ref["kind"], ref["name"]) for ref in letters} == {("KafkaSink", "dead-letters")}
    assert "archive" not in {ref["name"] for thing in rendering.objects for ref in refs(thing.get("spec"))}
    assert "archive" not in {thing["metadata"]["name"] for thing in rendering.objects}
    trigger = rendering.get("Trigger/image-requested")
    assert trigger["metadata"]["annotations"] == {"kafka.eventing.knative.dev/delivery.order": "ordered"}


@pytest.mark.parametrize("folder", ["base", "overlays/keda"])
def test_prometheus_reads_every_server_of_ours(folder: str) -> None:
    rendering = rendered(f"{folder} + components/metrics")
    ours = {
        pod.name
        for pod in rendering.pods()
        if any("darkroom-" in box["image"] and "ports" in box for box in pod.containers)
    }
    monitored = {pod.name for pod in selected(rendering.get("PodMonitor/darkroom"), rendering)}
    assert monitored == ours
    assert {pod.name for pod in selected(rendering.get("NetworkPolicy/metrics"), rendering)} == ours


def test_the_page_of_operations_names_every_counter() -> None:
    page = (ROOT / "docs/operations.md").read_text("utf-8")
    counters = re.findall(r"^# HELP (\w+_total)", Metrics().exposition().decode(), re.MULTILINE)
    assert sorted(set(re.findall(r"darkroom_\w+_total", page))) == sorted(counters)


@pytest.mark.parametrize("folder", ["overlays/minio", "overlays/local"])
def test_the_public_door_is_of_the_image_that_intake_is_of(folder: str) -> None:
    images = {pod.name: pod.containers[0]["image"] for pod in rendered(f"{folder} + components/public-door").pods()}
    assert images["Service/door"] == images["Service/intake"]
    assert "/darkroom-intake:" in images["Service/door"]
