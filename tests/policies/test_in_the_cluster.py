"""knative/doctor on an overlay: it runs what the overlay runs, with the operator's rights where these are another's."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.darkroom import REPOSITORY
from tests.manifests.conftest import Kustomize
from tests.manifests.rendering import KNATIVE, Rendering, build, overlays
from tests.stores import running

OPERATOR: Final = ["doctor", "--identity", "operator"]


@pytest.fixture(scope="module", autouse=True)
def kustomize() -> Iterator[Kustomize]:
    yield from running(Kustomize())


def ours(overlay: str, *components: str, **more: Any) -> Rendering:
    """What a folder of one's own, such as docs/install.md has it, makes of an overlay and components."""
    (REPOSITORY / ".cache").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=REPOSITORY / ".cache") as folder:
        above = {
            "resources": [os.path.relpath(KNATIVE / overlay, folder)],
            "components": [os.path.relpath(KNATIVE / component, folder) for component in components],
        }
        (Path(folder) / "kustomization.yaml").write_text(yaml.safe_dump(above | more), "utf-8")
        return Rendering.of(build(Path(folder)))


def container(rendering: Rendering, name: str) -> dict[str, Any]:
    """That of a CronJob's pods."""
    (pod,) = [pod for pod in rendering.pods() if pod.name == f"CronJob/{name}"]
    (only,) = pod.containers
    return only


@pytest.mark.parametrize("overlay", overlays())
def test_its_image_is_the_overlays(overlay: str) -> None:
    image = container(ours(overlay, "doctor"), "doctor")["image"]
    assert image == container(ours(overlay), "sweep")["image"]
    assert "/" in image, "the name that is to be replaced"


def test_another_image_is_named_once_for_all() -> None:
    images = [{"name": "ghcr.io/example/darkroom-intake", "newName": "registry.example.com/intake", "newTag": "1.2.3"}]
    found = ours("overlays/minio", "doctor", images=images)
    assert {container(found, name)["image"] for name in ("doctor", "sweep")} == {"registry.example.com/intake:1.2.3"}


def test_with_keys_that_all_share_it_looks_for_all_rights() -> None:
    only = container(ours("overlays/minio", "doctor"), "doctor")
    assert only["args"] == ["doctor"]
    assert only["envFrom"] == [
        {"configMapRef": {"name": "darkroom"}},
        {"secretRef": {"name": "darkroom-s3", "optional": True}},
    ]


def test_with_keys_for_each_it_has_those_of_the_operator() -> None:
    only = container(ours("overlays/minio", "doctor", "policies/secrets"), "doctor")
    assert only["args"] == OPERATOR
    assert [row["secretRef"]["name"] for row in only["envFrom"][1:]] == ["darkroom-s3-operator"]


def test_on_aws_it_has_the_operators_role_and_no_keys() -> None:
    found = ours("overlays/aws", "overlays/aws/doctor")
    only = container(found, "doctor")
    assert only["args"] == OPERATOR
    assert [list(row) for row in only["envFrom"]] == [["configMapRef"]]
    account = found.get("ServiceAccount/doctor")["metadata"]
    assert account["annotations"]["eks.amazonaws.com/role-arn"].endswith(":role/darkroom-operator")
