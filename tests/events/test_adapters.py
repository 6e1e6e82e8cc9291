"""What a prompt may say of adapters."""

from __future__ import annotations

from typing import Any

import pytest

from events.prompt import faults_of, validate
from events.prompt.sources import inputs_in

PICTURE = "s3://inputs/a.png"
NET = {"name": "edges", "image": PICTURE}


def said(**fields: Any) -> list[str]:
    return [str(fault) for fault in faults_of({"prompt": "a star"} | fields)]


def test_a_name_alone_is_a_whole_lora() -> None:
    (lora,) = validate({"prompt": "a star", "loras": [{"name": "ink.v1"}]}).loras
    assert (lora.name, lora.scale, lora.text_encoder_scale) == ("ink.v1", 1.0, None)


def test_their_pictures_are_inputs_like_any_other() -> None:
    prompt = validate({"prompt": "a star", "controlnets": [NET], "ip_adapters": [NET, NET | {"name": "style"}]})
    assert [where for where, _ in inputs_in(prompt)] == [
        "controlnets.0.image",
        "ip_adapters.0.image",
        "ip_adapters.1.image",
    ]


def test_left_out_there_are_none() -> None:
    prompt = validate({"prompt": "a star"})
    assert (prompt.loras, prompt.controlnets, prompt.ip_adapters) == ([], [], [])


@pytest.mark.parametrize(
    ("fields", "beginning"),
    [
        ({"loras": [{"name": "../ink"}]}, "loras.0.name: must be a name"),
        ({"loras": [{"name": "ink", "scale": 4.1}]}, "loras.0.scale: must be less than or equal to 4"),
        ({"loras": [{"name": "ink", "path": "x"}]}, "loras.0.path: there is no such field"),
        ({"loras": [{"name": f"l{n}"} for n in range(9)]}, "loras: must have at most 8 items"),
        ({"loras": [{"name": "ink"}, {"name": "ink"}]}, "loras.1.name: is there already"),
        ({"controlnets": [NET] * 4}, "controlnets: must have at most 3 items"),
        ({"controlnets": [{"name": "edges"}]}, "controlnets.0.image: is missing"),
        ({"controlnets": [NET | {"image": "https://x/a.png"}]}, "controlnets.0.image.uri: must name an object"),
        ({"controlnets": [NET | {"start": 0.5, "end": 0.5}]}, "controlnets.0.start: must be below end"),
        ({"controlnets": [NET | {"scale": -0.1}]}, "controlnets.0.scale: must be greater than or equal to 0"),
        ({"ip_adapters": [NET | {"scale": 2.1}]}, "ip_adapters.0.scale: must be less than or equal to 2"),
        ({"controlnets": [NET], "guidance_rescale": 0.5}, "guidance_rescale: has no effect with controlnets"),
        ({"controlnets": [NET], "image": PICTURE, "timesteps": [900, 500, 100]}, "timesteps: has no effect"),
        ({"controlnets": [NET], "image": PICTURE, "refiner": "ensemble"}, "refiner: ensemble cannot take over"),
        (
            {"controlnets": [NET], "image": PICTURE, "mask_image": PICTURE, "negative_target_size": [64, 64]},
            "negative_target_size: has no effect",
        ),
    ],
    ids=str,
)
def test_what_cannot_be_is_a_fault_of_one_sentence(fields: dict[str, Any], beginning: str) -> None:
    (fault,) = said(**fields)
    assert fault.startswith(beginning)


@pytest.mark.parametrize(
    "fields",
    [
        {"image": PICTURE, "mask_image": PICTURE, "guidance_rescale": 0.5},
        {"timesteps": [900, 500, 100]},
        {"refiner": "ensemble"},
        {"negative_target_size": [64, 64]},
    ],
    ids=str,
)
def test_what_a_controlnet_heeds_may_be_said(fields: dict[str, Any]) -> None:
    assert said(controlnets=[NET], **fields) == []
