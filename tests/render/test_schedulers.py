"""Every scheduler that a prompt may name draws, in its own way, with the model's settings and those that are meant."""

from __future__ import annotations

import inspect
import os
from typing import Any

import diffusers
import numpy as np
import pytest
from diffusers import StableDiffusionXLPipeline
from PIL import Image

from events.prompt import validate
from events.prompt.schedulers import KINDS, NAMES, SchedulerConfig
from function.errors import InvalidRequest
from function.render.schedulers import sampling_of, scheduler_like
from function.render.sdxl import SdxlRenderer
from tests.judge import is_right
from tests.render.test_sdxl import SEED, asking, by_hand, nothing

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array_wrap__ must accept:DeprecationWarning"),
]

SETTINGS = frozenset(SchedulerConfig.model_fields)
# How closely the prompt is followed is nothing to a scheduler, and costs half of the time.
UNGUIDED: dict[str, Any] = {"num_inference_steps": 3, "guidance_scale": 1.0}

# What diffusers' classes take and ours do not: EDM's are a UNet's own, torchsde's noise is no seed's, and in UniPC a
# solver_type other than the usual gives NaN and sigmas are for flow models alone.
NOT_OFFERED = {"DPMSolverSDEScheduler", "EDMEulerScheduler"}
WITHHELD = {
    ("DEISMultistepScheduler", "algorithm_type"),
    ("DEISMultistepScheduler", "solver_type"),
    ("LCMScheduler", "timestep_spacing"),
    ("TCDScheduler", "timestep_spacing"),
    ("UniPCMultistepScheduler", "sigmas"),
    ("UniPCMultistepScheduler", "solver_type"),
}


def test_all_that_sdxl_supports_are_offered() -> None:
    compatible = {kind.__name__ for kind in diffusers.EulerDiscreteScheduler().compatibles}
    assert set(KINDS) == (compatible | {"LCMScheduler", "TCDScheduler"}) - NOT_OFFERED


@pytest.mark.parametrize("name", KINDS)
def test_a_class_takes_what_diffusers_says(name: str) -> None:
    kind = getattr(diffusers, name)
    told = SETTINGS & inspect.signature(kind.__init__).parameters.keys()
    listed = {"timesteps", "sigmas"} & inspect.signature(kind.set_timesteps).parameters.keys()
    offered = KINDS[name].settings | {what for what in ("timesteps", "sigmas") if getattr(KINDS[name], what)}
    assert offered == (told | listed) - {what for of, what in WITHHELD if of == name}


def test_a_scheduler_takes_over_the_models_settings() -> None:
    own = diffusers.EulerDiscreteScheduler(beta_start=0.001, beta_end=0.02, prediction_type="v_prediction")
    for name in KINDS:
        config = scheduler_like(own, name, {}).config
        assert (config.beta_start, config.beta_end, config.prediction_type) == (0.001, 0.02, "v_prediction"), name


def test_the_models_own_may_be_one_that_no_prompt_can_name() -> None:
    own = diffusers.EDMEulerScheduler(sigma_data=0.6)
    fresh = scheduler_like(own, "EDMEulerScheduler", {})
    assert type(fresh) is diffusers.EDMEulerScheduler
    assert fresh is not own
    assert fresh.config == own.config
    assert sampling_of(own, asking())["scheduler"] == "EDMEulerScheduler"


@pytest.mark.parametrize("name", [name for name, (_, told) in NAMES.items() if told])
def test_what_is_told_counts_where_the_models_own_settings_leave_it_open(name: str) -> None:
    # As SDXL's own do; diffusers resets to its defaults what was one.
    kind, told = NAMES[name]
    config = scheduler_like(diffusers.EulerDiscreteScheduler(), kind, told).config
    assert {setting: config[setting] for setting in told} == told


def test_what_an_other_scheduler_of_the_models_own_was_told_does_not_stray() -> None:
    own = diffusers.DPMSolverMultistepScheduler(algorithm_type="sde-dpmsolver++", solver_order=3, solver_type="heun")
    assert scheduler_like(own, "DEISMultistepScheduler", {}).config.algorithm_type == "deis"
    assert scheduler_like(own, "DPMSolverMultistepScheduler", {}).config.algorithm_type == "sde-dpmsolver++"
    # What the model's own settings leave open, diffusers would leave so.
    assert (
        scheduler_like(
            diffusers.EulerDiscreteScheduler(), "UniPCMultistepScheduler", {"solver_order": 3}
        ).config.solver_order
        == 3
    )
    karras = diffusers.EulerDiscreteScheduler(use_karras_sigmas=True)
    told = {"use_exponential_sigmas": True}
    assert not scheduler_like(karras, "EulerDiscreteScheduler", told).config.use_karras_sigmas


@pytest.mark.parametrize(
    ("name", "kind", "config"),
    [
        (None, "EulerDiscreteScheduler", {}),
        ("Euler a", "EulerAncestralDiscreteScheduler", {}),
        ("Euler Karras", "EulerDiscreteScheduler", {"use_karras_sigmas": True}),
        ("DPM++ 2M Karras", "DPMSolverMultistepScheduler", {"use_karras_sigmas": True}),
        (
            "DPM++ 2M SDE Exponential",
            "DPMSolverMultistepScheduler",
            {"algorithm_type": "sde-dpmsolver++", "use_exponential_sigmas": True},
        ),
        (
            "DPM++ 2M SDE Heun",
            "DPMSolverMultistepScheduler",
            {"algorithm_type": "sde-dpmsolver++", "solver_type": "heun"},
        ),
        ("DPM++ 3M SDE", "DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++", "solver_order": 3}),
        (
            "DPM++ SDE",
            "DPMSolverSinglestepScheduler",
            {"algorithm_type": "sde-dpmsolver++", "lower_order_final": True},
        ),
        ("DPM2 a Karras", "KDPM2AncestralDiscreteScheduler", {"use_karras_sigmas": True}),
        ("Heun", "HeunDiscreteScheduler", {}),
        ("DDIM", "DDIMScheduler", {"clip_sample": False, "set_alpha_to_one": False}),
        ("DDPMScheduler", "DDPMScheduler", {"clip_sample": False}),
        ("PLMS", "PNDMScheduler", {"skip_prk_steps": True}),
        ("UniPC", "UniPCMultistepScheduler", {}),
        ("LCM", "LCMScheduler", {}),
        ("LMS", "LMSDiscreteScheduler", {}),
        ("LMS Karras", "LMSDiscreteScheduler", {"use_karras_sigmas": True}),
        ("Euler Beta", "EulerDiscreteScheduler", {"use_beta_sigmas": True}),
        (
            "DPM++ 2M Beta",
            "DPMSolverMultistepScheduler",
            {"use_beta_sigmas": True},
        ),
        ("TCDScheduler", "TCDScheduler", {}),
    ],
)
def test_a_name_means_what_it_means_in_diffusers(
    renderer: SdxlRenderer,
    plain: StableDiffusionXLPipeline,
    monkeypatch: pytest.MonkeyPatch,
    name: str | None,
    kind: str,
    config: dict[str, Any],
) -> None:
    monkeypatch.setattr(plain, "scheduler", getattr(diffusers, kind).from_config(plain.scheduler.config, **config))
    rendering = renderer.render(asking(scheduler=name, **UNGUIDED), SEED, nothing)
    assert rendering.prompt["scheduler"] == kind
    assert np.array_equal(rendering.pictures[0].pixels, by_hand(plain, **UNGUIDED))


def test_each_name_draws_its_own_picture_and_the_same_one_again(renderer: SdxlRenderer) -> None:
    drawn: dict[object, bytes] = {}

    def draw(name: str) -> bytes:
        # As many as it takes for the third order to differ from the second.
        asked = asking(scheduler=name, num_inference_steps=5, guidance_scale=1.0)
        return renderer.render(asked, SEED, nothing).pictures[0].pixels.tobytes()

    for name, (kind, told) in NAMES.items():
        usual = inspect.signature(getattr(diffusers, kind).__init__).parameters
        # Some names mean the same.
        means = kind, *sorted((key, value) for key, value in told.items() if value != usual[key].default)
        # DDPM's steps are those of Euler a, but for the last digits.
        if means not in drawn and kind != "DDPMScheduler":
            drawn[means] = draw(name)
    assert len(set(drawn.values())) == len(drawn) == 51
    first, last = next(iter(NAMES)), list(NAMES)[-1]
    # After all the others, none of which has left anything behind.
    assert {draw(last), draw(first)} <= set(drawn.values())


@pytest.mark.parametrize(
    ("scheduler", "fields"),
    [
        (scheduler, {"timesteps": [950, 600, 250]})
        for scheduler, kind in KINDS.items()
        if kind.timesteps and kind.most_steps is None
    ]
    # Of these only steps that the model was distilled with.
    + [(scheduler, {"timesteps": [999, 659, 279]}) for scheduler, kind in KINDS.items() if kind.most_steps]
    + [(None, {"sigmas": [14.6, 3.0, 0.8, 0.0]})],
)
def test_steps_one_by_one_give_the_pixels_of_plain_diffusers(
    renderer: SdxlRenderer,
    plain: StableDiffusionXLPipeline,
    monkeypatch: pytest.MonkeyPatch,
    scheduler: str | None,
    fields: dict[str, Any],
) -> None:
    fresh = scheduler_like(plain.scheduler, scheduler or "EulerDiscreteScheduler", {})
    monkeypatch.setattr(plain, "scheduler", fresh)
    asked: list[None] = []
    rendering = renderer.render(asking(scheduler=scheduler, **UNGUIDED, **fields), SEED, lambda: asked.append(None))
    assert rendering.prompt["num_inference_steps"] == 3
    assert len(asked) == (5 if scheduler == "HeunDiscreteScheduler" else 3)
    assert np.array_equal(rendering.pictures[0].pixels, by_hand(plain, **UNGUIDED, **fields))


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"timesteps": [900, 100]}, "timesteps"),
        ({"sigmas": [14.0, 3.0, 0.0]}, "sigmas"),
        ({"scheduler_config": {"use_karras_sigmas": True}}, "scheduler_config"),
    ],
)
def test_what_the_models_own_scheduler_cannot_do_is_the_prompts_fault(asked: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest, match=f"{field}: DDIMScheduler ") as failure:
        sampling_of(diffusers.DDIMScheduler(), asking(**asked))
    assert [fault.where for fault in failure.value.faults] == [field]


@pytest.mark.parametrize("asked", [{"image": "s3://inputs/a.png"}, {"refiner": "image"}], ids=str)
def test_a_models_own_that_can_only_begin_at_noise_does_not_go_on(asked: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match=f"{next(iter(asked))}: LMSDiscreteScheduler can only begin at noise"):
        sampling_of(diffusers.LMSDiscreteScheduler(), asking(num_inference_steps=9, **asked))
    assert sampling_of(diffusers.LMSDiscreteScheduler(), asking())
    assert sampling_of(diffusers.DDIMScheduler(), asking(num_inference_steps=9, **asked))


def test_a_model_for_few_steps_takes_no_more_than_it_was_distilled_with() -> None:
    with pytest.raises(InvalidRequest, match="num_inference_steps: LCMScheduler takes at most 50"):
        sampling_of(diffusers.LCMScheduler(), asking(num_inference_steps=51))
    with pytest.raises(InvalidRequest, match="refiner_steps: LCMScheduler takes at most 50"):
        sampling_of(diffusers.LCMScheduler(), asking(num_inference_steps=10, refiner="ensemble", refiner_steps=51))
    assert sampling_of(diffusers.LCMScheduler(), asking(num_inference_steps=50))


# Those whose defaults are for pixels and would spoil latents; the others are compared with diffusers above.
JUDGED = tuple(KINDS) if os.environ.get("DARKROOM_CHAOS") == "full" else ("DDIMScheduler", "DDPMScheduler")


@pytest.mark.chaos
@pytest.mark.parametrize("scheduler", JUDGED)
def test_each_class_draws_what_was_asked(shapes: SdxlRenderer, scheduler: str) -> None:
    caption = "a red star on a blue background"
    # PLMS needs more of them than the others.
    steps = 50 if scheduler == "PNDMScheduler" else 20
    asked = validate({"prompt": caption, "scheduler": scheduler, "num_inference_steps": steps})
    (picture,) = shapes.render(asked, 0, nothing).pictures
    assert is_right(Image.fromarray(picture.pixels), caption)
