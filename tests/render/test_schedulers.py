"""Every scheduler that a prompt may name draws, in its own way, with the model's settings."""

from __future__ import annotations

from itertools import pairwise
from typing import get_args

import diffusers
import pytest

from events.prompt import Scheduler, validate
from function.render.schedulers import SCHEDULERS, scheduler_like
from function.render.sdxl import SdxlRenderer

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"
)  # diffusers under NumPy 2.4


def test_a_prompt_may_name_what_there_is() -> None:
    assert list(get_args(Scheduler)) == list(SCHEDULERS)
    assert {name: getattr(diffusers, name) for name in SCHEDULERS} == SCHEDULERS


def test_a_scheduler_takes_over_the_models_settings() -> None:
    own = diffusers.EulerDiscreteScheduler(beta_start=0.001, beta_end=0.02, prediction_type="v_prediction")
    for name in SCHEDULERS:
        config = scheduler_like(own, name).config
        assert (config.beta_start, config.beta_end, config.prediction_type) == (0.001, 0.02, "v_prediction"), name


def test_the_models_own_may_be_one_that_no_prompt_can_name() -> None:
    own = diffusers.HeunDiscreteScheduler(beta_end=0.02)
    fresh = scheduler_like(own, None)
    assert type(fresh) is diffusers.HeunDiscreteScheduler
    assert fresh is not own
    assert fresh.config == own.config


def test_each_scheduler_draws_another_picture_and_the_same_one_again(renderer: SdxlRenderer) -> None:
    def draw(name: str) -> bytes:
        asked = {"prompt": "a red star", "num_inference_steps": 3, "width": 64, "height": 64, "scheduler": name}
        rendering = renderer.render(validate(asked), 7, lambda: None)
        assert rendering.prompt["scheduler"] == name
        return rendering.pictures[0].body

    first = {name: draw(name) for name in SCHEDULERS}
    # In another order, so that what one leaves behind would show in another.
    assert {name: draw(name) for name in reversed(SCHEDULERS)} == first
    assert all(a != b for a, b in pairwise(sorted(first.values())))
