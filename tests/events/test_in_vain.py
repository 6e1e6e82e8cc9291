"""What could have no effect is refused, in one sentence that names the field."""

from __future__ import annotations

from typing import Any

import pytest

from events.prompt import Fault, faults_of
from events.prompt.refining import NEGATIVE_AESTHETIC_SCORE

_UNGUIDED = "has no effect with a guidance_scale of at most 1; leave it out"


@pytest.mark.parametrize("guidance_scale", [0, 0.5, 1])
@pytest.mark.parametrize(
    "fields",
    [
        {"guidance_rescale": 0.7},
        {"negative_original_size": [64, 64]},
        {"negative_target_size": [64, 64]},
        {"negative_crops_coords_top_left": [0, 0]},
        {"refiner": "image", "negative_aesthetic_score": 3},
    ],
    ids=str,
)
def test_what_needs_guidance(fields: dict[str, Any], guidance_scale: float) -> None:
    asked = {"prompt": "a star", **fields}
    assert faults_of(asked | {"guidance_scale": guidance_scale}) == (Fault(list(fields)[-1], _UNGUIDED),)
    assert faults_of(asked | {"guidance_scale": 1.01}) == ()


def test_what_programs_send_with_every_prompt_and_what_a_render_fills_in_is_taken() -> None:
    asked = {"negative_prompt": "a ring", "negative_prompt_2": "a ring", "guidance_rescale": 0}
    asked |= {"refiner": "image", "negative_aesthetic_score": NEGATIVE_AESTHETIC_SCORE}
    assert faults_of({"prompt": "a star", "guidance_scale": 1} | asked) == ()


@pytest.mark.parametrize(("field", "steps"), [("timesteps", [900, 500, 100]), ("sigmas", [14.0, 3.0, 0.8, 0.0])])
def test_a_number_of_steps_beside_a_list_of_another_length(field: str, steps: list[float]) -> None:
    asked = {"prompt": "a star", field: steps}
    assert faults_of(asked | {"num_inference_steps": 30}) == (
        Fault("num_inference_steps", f"is 3 by the {field}; leave it out"),
    )
    # As what was rendered says it.
    assert faults_of(asked | {"num_inference_steps": 3}) == ()
    assert faults_of(asked) == ()
