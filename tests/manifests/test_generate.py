"""The component for programs that wait for their picture: what render answers with it, and what stays as it was."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest
import yaml

from function.config import Settings, WrongSettings
from function.demo.s3server import S3Server
from tests.backstops.house import PROMPT, House
from tests.checks.tree import ROOT
from tests.darkroom import outcome_of
from tests.manifests.rendering import KNATIVE, Manifest, Rendering, build, installations, name_of, rendered
from tests.manifests.rules.pods import variables

COMPONENT: Final = "components/generate"
CONTAINER: Final = "/spec/template/spec/containers/0"
WAITING: Final = [folder for folder in installations() if folder.endswith(f" + {COMPONENT}")]


def test_it_is_on_top_of_each_overlay_but_that_in_which_nobody_wakes_a_pod() -> None:
    without = {folder for folder in installations() if " + " not in folder} - {"overlays/keda"}
    assert {folder.partition(" + ")[0] for folder in WAITING} == without


def render(rendering: Rendering) -> Manifest:
    container: Manifest = rendering.get("Service/render")["spec"]["template"]["spec"]["containers"][0]
    return container


@pytest.mark.parametrize("folder", WAITING)
def test_nothing_is_changed_but_what_render_is_told(folder: str) -> None:
    before, after = rendered(folder.partition(" + ")[0]), rendered(folder)
    read, reads = render(before)["envFrom"], render(after)["envFrom"]
    # Not intake's: programs that wait are not the store. Of two the last one counts.
    assert reads == [
        *read,
        {"configMapRef": {"name": "darkroom-generate"}},
        {"secretRef": {"name": "darkroom-generate"}},
    ]
    others = after.changed("Service/render", {f"{CONTAINER}/envFrom": read}).objects
    assert [one for one in others if name_of(one) != "ConfigMap/darkroom-generate"] == before.objects
    told = variables({"envFrom": reads[-2:]}, after)
    assert told.keys() == {"DARKROOM_GENERATE", "DARKROOM_DOOR_TOKEN"}
    assert Settings.from_environment(told).generate


def test_variables_of_the_users_own_stay() -> None:
    own = [{"name": "OMP_NUM_THREADS", "value": "4"}]
    patch = {
        "target": {"kind": "Service", "name": "render"},
        "patch": yaml.safe_dump([{"op": "add", "path": f"{CONTAINER}/env", "value": own}]),
    }
    with TemporaryDirectory(dir=ROOT / ".cache") as scratch:
        inner = Path(scratch, "ours")
        inner.mkdir()
        for folder, holds in (
            (inner, {"resources": [os.path.relpath(KNATIVE / "base", inner)], "patches": [patch]}),
            (Path(scratch), {"resources": ["ours"], "components": [os.path.relpath(KNATIVE / COMPONENT, scratch)]}),
        ):
            (folder / "kustomization.yaml").write_text(yaml.safe_dump(holds), "utf-8")
        rendering = Rendering.of(build(Path(scratch)))
    assert render(rendering)["env"] == own
    assert Settings.from_environment(variables(render(rendering), rendering)).generate


def test_a_secret_whose_key_is_called_otherwise_opens_no_door_to_all() -> None:
    told = rendered(f"base + {COMPONENT}").get("ConfigMap/darkroom-generate")["data"]
    with pytest.raises(WrongSettings, match=r"^DARKROOM_DOOR_TOKEN: must not be empty$"):
        Settings.from_environment(told)


def test_render_then_asks_those_who_wait_for_the_token_and_the_broker_for_none(
    seaweedfs: S3Server, tmp_path: Path
) -> None:
    rendering = rendered(f"base + {COMPONENT}")
    told = variables({"envFrom": render(rendering)["envFrom"][-2:]}, rendering)
    with ExitStack() as running:
        token = {"authorization": f"Bearer {told['DARKROOM_DOOR_TOKEN']}"}
        process = House.on(seaweedfs, tmp_path, running).drawing("render", **told)
        body, kind = json.dumps(PROMPT).encode(), {"content-type": "application/json"}
        for path in ("/generate", "/v1/images/generations"):
            assert process.post(path, body, kind).status == 401
            answer = process.post(path, body, kind | token)
            assert answer.status == 200, answer.data
        assert outcome_of(process.event(PROMPT, id="by the broker"))["data"]["images"]
