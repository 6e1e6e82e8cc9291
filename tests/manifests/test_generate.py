"""The component for programs that wait for their picture: what render answers with it, and what stays as it was."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from function.demo.s3server import S3Server
from tests.backstops.house import PROMPT, House
from tests.darkroom import outcome_of
from tests.manifests.rendering import GONE, installations, rendered
from tests.manifests.rules.pods import variables

COMPONENT: Final = "components/generate"
WAITING: Final = [folder for folder in installations() if folder.endswith(f" + {COMPONENT}")]


def test_it_is_on_top_of_each_overlay_but_that_in_which_nobody_wakes_a_pod() -> None:
    without = {folder for folder in installations() if " + " not in folder} - {"overlays/keda"}
    assert {folder.partition(" + ")[0] for folder in WAITING} == without


@pytest.mark.parametrize("folder", WAITING)
def test_nothing_is_changed_but_what_render_is_told(folder: str) -> None:
    before, after = rendered(folder.partition(" + ")[0]), rendered(folder)
    container = after.get("Service/render")["spec"]["template"]["spec"]["containers"][0]
    assert after.changed("Service/render", {"/spec/template/spec/containers/0/env": GONE}) == before
    told = {row["name"]: row for row in container["env"]}
    assert told.keys() == {"DARKROOM_GENERATE", "DARKROOM_DOOR_TOKEN"}
    # Not intake's: programs that wait are not the store.
    assert told["DARKROOM_DOOR_TOKEN"]["valueFrom"] == {"secretKeyRef": {"name": "darkroom-generate", "key": "token"}}


def test_render_then_asks_those_who_wait_for_the_token_and_the_broker_for_none(
    seaweedfs: S3Server, tmp_path: Path
) -> None:
    rendering = rendered(f"base + {COMPONENT}")
    container = rendering.get("Service/render")["spec"]["template"]["spec"]["containers"][0]
    told = variables({"env": container["env"]}, rendering)
    with ExitStack() as running:
        token = {"authorization": f"Bearer {told['DARKROOM_DOOR_TOKEN']}"}
        render = House.on(seaweedfs, tmp_path, running).drawing("render", **told)
        body, kind = json.dumps(PROMPT).encode(), {"content-type": "application/json"}
        for path in ("/generate", "/v1/images/generations"):
            assert render.post(path, body, kind).status == 401
            answer = render.post(path, body, kind | token)
            assert answer.status == 200, answer.data
        assert outcome_of(render.event(PROMPT, id="by the broker"))["data"]["images"]
