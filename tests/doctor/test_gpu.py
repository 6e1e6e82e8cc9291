"""What the doctor says of GPUs: of torch that does not answer, and of nodes of several kinds."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Final

import pytest

from tests.doctor.cluster import MAX_SCALE, NODES, served, settings, sound
from tests.doctor.running import report


@pytest.mark.parametrize(
    ("torch", "state", "sentence"),
    [
        ("import signal; signal.pause()", "unknown", "torch says nothing of a GPU within 6 s"),
        ("raise OSError('not-to-be-shown')", "wrong", "torch cannot be loaded: exit code 1"),
    ],
)
def test_a_torch_that_hangs_or_breaks(torch: str, state: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text(torch)
    said = report({"PYTHONPATH": str(tmp_path)}, "gpu", options=["--patience", "0.1"])
    assert said.sentences(state) == [sentence]
    assert "not-to-be-shown" not in said.stdout + said.stderr


def test_only_nodes_that_take_render_are_counted(tmp_path: Path) -> None:
    cluster = sound()
    nodes = cluster.answers[NODES]["items"]
    good = cluster.node()
    good["spec"]["taints"] += [
        {"key": "sku", "value": "gpu", "effect": "NoSchedule"},
        {"key": "old", "effect": "PreferNoSchedule"},
    ]
    cluster.pod()["spec"]["tolerations"].append({"key": "sku", "value": "gpu", "effect": "NoSchedule"})
    for taint in (
        {"key": "sku", "value": "cpu", "effect": "NoSchedule"},
        {"key": "nvidia.com/gpu", "value": "present", "effect": "NoExecute"},
    ):
        other = copy.deepcopy(good)
        other["status"]["allocatable"]["nvidia.com/gpu"] = "8"
        other["spec"]["taints"] = [taint]
        nodes.append(other)
    with served(cluster, tmp_path) as path:
        said = report(settings(path), "gpu")
    assert said.sentences("ok") == ["the nodes offer 1 nvidia.com/gpu to render, which may come to 1 pods"]


KARPENTER: Final = "karpenter.k8s.aws/instance-gpu-manufacturer"
LACKING: Final = {
    "no node": (0, "1", "1", "render asks for nvidia.com/gpu, and no node offers any"),
    "one of four nodes": (1, "4", "1", "render may come to 4 pods of 1 GPU, and the nodes offer 1"),
    "smaller nodes": (1, "1", "2", "a pod of render asks for 2 nvidia.com/gpu, and no node offers as many"),
    "a node of others": (
        8,
        "1",
        "1",
        f"node lab has GPUs, but not the label {KARPENTER}=nvidia of render's nodeSelector",
    ),
}


@pytest.mark.parametrize("case", LACKING)
def test_where_nodes_are_made_when_they_are_asked_for_a_lack_is_unknown(case: str, tmp_path: Path) -> None:
    count, most, wanted, sentence = LACKING[case]
    cluster = sound()
    cluster.with_gpus(count)
    pod = cluster.pod()
    pod["spec"]["nodeSelector"] = {KARPENTER: "nvidia"}
    pod["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] = wanted
    pod["metadata"]["annotations"][MAX_SCALE] = most
    if case != "a node of others":
        cluster.node()["metadata"]["labels"][KARPENTER] = "nvidia"
    with served(cluster, tmp_path) as path:
        said = report(settings(path), "gpu")
    assert said.code == 0, said.stdout
    assert said.sentences("unknown") == [f"{sentence} now; one that is made when it is asked for cannot be seen"]
