"""The component that has pictures signed, on top of each installation."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from function.config import Settings
from tests.manifests.rendering import Pod, Rendering, installations, rendered
from tests.manifests.rules.references import SECRETS

COMPONENT = "components/c2pa"
SIGNING = [folder for folder in installations() if folder.endswith(f" + {COMPONENT}")]


def render(rendering: Rendering) -> Pod:
    (pod,) = (pod for pod in rendering.pods() if pod.name in ("Service/render", "Deployment/render"))
    return pod


def environment(rendering: Rendering, pod: Pod) -> dict[str, str]:
    """What render reads of ConfigMaps, as Kubernetes puts it together: the last one wins."""
    (container,) = pod.containers
    names = [row["configMapRef"]["name"] for row in container["envFrom"] if "configMapRef" in row]
    return {key: value for name in names for key, value in rendering.get(f"ConfigMap/{name}")["data"].items()}


@pytest.mark.parametrize("folder", SIGNING)
def test_render_has_to_sign_with_what_is_mounted(folder: str) -> None:
    rendering = rendered(folder)
    pod = render(rendering)
    settings = Settings.from_environment(environment(rendering, pod))
    assert settings.mark == "c2pa"
    (mount,) = (mount for mount in pod.containers[0]["volumeMounts"] if mount["name"] == "c2pa")
    assert mount["readOnly"] is True
    keys = SECRETS[pod.volume("c2pa")["secret"]["secretName"]]
    for path in map(PurePosixPath, (settings.c2pa_certificate or "", settings.c2pa_key or "")):
        assert (str(path.parent), path.name in keys) == (mount["mountPath"], True)


def test_it_is_on_top_of_each_overlay() -> None:
    assert len(SIGNING) > 5


def test_nobody_else_sees_the_key() -> None:
    others = [pod for pod in rendered(f"overlays/minio + {COMPONENT}").pods() if pod.name != "Service/render"]
    assert others
    assert not any(pod.volume("c2pa") for pod in others)
