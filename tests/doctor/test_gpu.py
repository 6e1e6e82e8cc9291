"""What the doctor says of GPUs: of torch that does not answer, and of nodes of several kinds."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from tests.doctor.cluster import NODES, served, settings, sound
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
