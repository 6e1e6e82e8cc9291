"""Schedulers by name: which are known, what each can be told, and in which words the rest is refused."""

from __future__ import annotations

from typing import Any

import pytest

from events.prompt import validate
from events.prompt.schedulers import KINDS, NAMES, SIGMAS, settled
from tests.events.faults import faults_of


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("euler", "Euler"),
        ("K_EULER", "Euler"),
        ("EulerDiscrete", "EulerDiscreteScheduler"),
        ("DPM++ 2M Karas", "DPM++ 2M Karras"),
        ("dpm++ 2m sde karras", "DPM++ 2M SDE Karras"),
        ("euler_ancestral", "Euler a"),
    ],
)
def test_an_unknown_name_is_told_the_near_ones(name: str, near: str) -> None:
    message = faults_of({"prompt": "a", "scheduler": name})["scheduler"]
    start, end = "there is no such scheduler; did you mean ", "?"
    assert message.startswith(start)
    assert near in message.removeprefix(start).removesuffix(end).split(" or ")


def test_a_name_that_is_near_to_none_is_told_all_of_them() -> None:
    message = faults_of({"prompt": "a", "scheduler": "q" * 5000})["scheduler"]
    assert all(name in message for name in (*KINDS, "Euler a", "DPM++ 2M"))
    assert len(message) < 1000


@pytest.mark.parametrize(
    ("name", "kind", "told"),
    [
        ("EulerDiscreteScheduler", "EulerDiscreteScheduler", {}),
        ("Euler a", "EulerAncestralDiscreteScheduler", {}),
        ("Euler", "EulerDiscreteScheduler", dict.fromkeys(SIGMAS, False)),
        (
            "DPM++ 2M SDE Karras",
            "DPMSolverMultistepScheduler",
            {
                "use_karras_sigmas": True,
                "use_exponential_sigmas": False,
                "use_beta_sigmas": False,
                "algorithm_type": "sde-dpmsolver++",
                "solver_order": 2,
                "solver_type": "midpoint",
            },
        ),
    ],
)
def test_a_name_is_a_class_and_what_that_is_told(name: str, kind: str, told: dict[str, Any]) -> None:
    assert settled(name, None) == (kind, told)


@pytest.mark.parametrize("name", NAMES)
def test_every_name_can_be_said_as_its_class_and_what_that_is_told(name: str) -> None:
    kind, told = settled(name, None)
    said = validate({"prompt": "a", "scheduler": kind, "scheduler_config": told or None})
    assert settled(kind, said.scheduler_config) == (kind, told)


def test_what_is_told_goes_before_what_the_name_implies() -> None:
    said = validate(
        {"prompt": "a", "scheduler": "DPM++ 2M Karras", "scheduler_config": {"solver_order": 3}}
    ).scheduler_config
    assert settled("DPM++ 2M Karras", said)[1]["solver_order"] == 3


@pytest.mark.parametrize(
    ("fields", "faults"),
    [
        (
            {"scheduler": "DDIM", "scheduler_config": {"solver_type": "heun"}},
            {"scheduler_config": "DDIMScheduler has no solver_type; it has timestep_spacing"},
        ),
        (
            {"scheduler": "LCM", "scheduler_config": {"solver_type": "heun"}},
            {"scheduler_config": "LCMScheduler has no solver_type; it has no settings"},
        ),
        (
            {"scheduler": "Euler Karras", "scheduler_config": {"use_exponential_sigmas": True}},
            {"scheduler_config": "use_karras_sigmas and use_exponential_sigmas exclude each other"},
        ),
        (
            {"scheduler": "Euler a", "timesteps": [999, 1]},
            {
                "timesteps": "EulerAncestralDiscreteScheduler takes none; DDPMScheduler, DPMSolverMultistepScheduler, "
                "DPMSolverSinglestepScheduler, EulerDiscreteScheduler, HeunDiscreteScheduler, LCMScheduler and "
                "TCDScheduler do"
            },
        ),
        (
            {"scheduler": "UniPC", "sigmas": [1, 0]},
            {"sigmas": "UniPCMultistepScheduler takes none; EulerDiscreteScheduler does"},
        ),
        (
            {"scheduler": "Euler Karras", "timesteps": [999, 1]},
            {"timesteps": "says where the steps lie, as use_karras_sigmas does; give one of them"},
        ),
        (
            {"scheduler": "LMS Beta", "image": "s3://inputs/a.png", "refiner": "image"},
            dict.fromkeys(
                ("image", "refiner"), "LMSDiscreteScheduler can only begin at noise; choose another scheduler"
            ),
        ),
        ({"timesteps": [999, 1], "sigmas": [1, 0]}, {"sigmas": "is said by timesteps, too; give one of them"}),
        ({"timesteps": [1, 999]}, {"timesteps": "must fall from each number to the next"}),
        ({"timesteps": [5, 5]}, {"timesteps": "must fall from each number to the next"}),
        ({"scheduler": "LCM", "num_inference_steps": 51}, {"num_inference_steps": "LCMScheduler takes at most 50"}),
        ({"scheduler": "LCM", "timesteps": [*range(51, 0, -1)]}, {"timesteps": "LCMScheduler takes at most 50"}),
        (
            {"scheduler": "LCM", "num_inference_steps": 10, "refiner": "ensemble", "refiner_steps": 51},
            {"refiner_steps": "LCMScheduler takes at most 50"},
        ),
        (
            {"scheduler": "Euler", "scheduler_config": {"use_karas_sigmas": True}},
            {"scheduler_config.use_karas_sigmas": "there is no such field; the README lists them"},
        ),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused_in_one_sentence(fields: dict[str, Any], faults: dict[str, str]) -> None:
    assert faults_of({"prompt": "a"} | fields) == faults


def test_faults_of_several_fields_are_told_at_once() -> None:
    wrong = {
        "scheduler": "Euler",
        "scheduler_config": {"solver_order": 2},
        "timesteps": [1, 2],
        "size": "1x1",
        "seed": -1,
    }
    assert faults_of({"prompt": "a"} | wrong).keys() == {"scheduler_config", "timesteps", "size", "seed"}
