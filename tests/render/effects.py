"""What each field of a prompt does to the picture: the row that proves it, or the test that does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

SMALL: Final[dict[str, Any]] = {
    "prompt": "a red star on a blue background",
    "num_inference_steps": 2,
    "width": 64,
    "height": 64,
    "seed": 1234,
}

_SCENE, _OTHER, _MASK, _OTHER_MASK = (f"s3://inputs/{name}.png" for name in ("scene", "other", "mask", "other-mask"))
_THREE: Final = {"num_inference_steps": 3}
_DPM: Final = _THREE | {"scheduler": "DPMSolverMultistepScheduler"}
_BEGUN: Final = {"image": _SCENE}
_MASKED: Final = _BEGUN | {"mask_image": _MASK}
_INK: Final = {"name": "ink"}
_EDGES: Final = {"name": "edges", "image": _SCENE}
_STYLE: Final = {"name": "style", "image": _SCENE}

# By field: what is asked for beside SMALL with and without it, and its value; of a field in a group, all of the group's
# outermost. The picture is another one then.
EFFECTS: Final[Mapping[str, tuple[Mapping[str, Any], Any]]] = {
    "prompt": ({}, "a blue ring on a red background"),
    "prompt_2": ({}, "a blue ring on a red background"),
    "negative_prompt": ({}, "a green circle"),
    "negative_prompt_2": ({"negative_prompt": "a green circle"}, "a blue ring"),
    "clip_skip": ({}, 1),
    "width": ({}, 72),
    "height": ({}, 72),
    "size": ({"width": None, "height": None}, "64x72"),
    "aspect_ratio": ({"width": None, "height": None}, "1:2"),
    "num_images": ({}, 2),
    "original_size": ({}, [32, 48]),
    "target_size": ({}, [32, 48]),
    "crops_coords_top_left": ({}, [16, 24]),
    "negative_original_size": ({}, [32, 48]),
    "negative_target_size": ({}, [32, 48]),
    "negative_crops_coords_top_left": ({}, [16, 24]),
    "num_inference_steps": ({}, 3),
    "guidance_scale": ({}, 7.5),
    "guidance_rescale": ({}, 0.7),
    "seed": ({}, 1235),
    "scheduler": ({}, "Euler a"),
    "scheduler_config.use_karras_sigmas": (_THREE, {"use_karras_sigmas": True}),
    "scheduler_config.use_exponential_sigmas": (_THREE, {"use_exponential_sigmas": True}),
    "scheduler_config.use_beta_sigmas": (_THREE, {"use_beta_sigmas": True}),
    "scheduler_config.timestep_spacing": (_THREE, {"timestep_spacing": "trailing"}),
    "scheduler_config.algorithm_type": (_DPM, {"algorithm_type": "sde-dpmsolver++"}),
    "scheduler_config.solver_order": (_DPM, {"solver_order": 1}),
    "scheduler_config.solver_type": (_DPM, {"solver_type": "heun"}),
    "timesteps": ({}, [900, 300]),
    "sigmas": ({}, [14.0, 3.0, 0.0]),
    "image.uri": (_BEGUN, _OTHER),
    "mask_image.uri": (_MASKED, _OTHER_MASK),
    "strength": (_BEGUN, 1.0),
    "loras.name": ({"loras": [_INK]}, [{"name": "oil.v1"}]),
    "loras.scale": ({"loras": [_INK]}, [_INK | {"scale": 0.5}]),
    "loras.text_encoder_scale": ({"loras": [_INK]}, [_INK | {"text_encoder_scale": 0}]),
    "controlnets.name": ({"controlnets": [_EDGES]}, [_EDGES | {"name": "depth"}]),
    "controlnets.image.uri": ({"controlnets": [_EDGES]}, [_EDGES | {"image": _OTHER}]),
    "controlnets.scale": ({"controlnets": [_EDGES]}, [_EDGES | {"scale": 0.5}]),
    "controlnets.start": ({"controlnets": [_EDGES]}, [_EDGES | {"start": 0.4}]),
    "controlnets.end": ({"controlnets": [_EDGES]}, [_EDGES | {"end": 0.6}]),
    "ip_adapters.name": ({"ip_adapters": [_STYLE]}, [_STYLE | {"name": "parts"}]),
    "ip_adapters.image.uri": ({"ip_adapters": [_STYLE]}, [_STYLE | {"image": _OTHER}]),
    "ip_adapters.scale": ({"ip_adapters": [_STYLE]}, [_STYLE | {"scale": 0.5}]),
}

# Fields that need more than a model and adapters, or change the file instead, and the test that shows what they do.
_REFINER: Final = "tests/render/test_refiner.py"
_SUM: Final = "tests/render/test_effects.py::test_an_object_with_another_sum_is_not_drawn_with"
ELSEWHERE: Final[Mapping[str, str]] = {
    "image.sha256": _SUM,
    "mask_image.sha256": _SUM,
    "controlnets.image.sha256": _SUM,
    "ip_adapters.image.sha256": _SUM,
    "refiner": f"{_REFINER}::test_without_a_refiner_all_is_as_ever",
    "refiner_steps": f"{_REFINER}::test_a_finished_picture_is_refined_as_in_plain_diffusers",
    "high_noise_fraction": f"{_REFINER}::test_the_last_steps_of_an_ensemble_are_those_of_plain_diffusers",
    "refiner_strength": f"{_REFINER}::test_a_finished_picture_is_refined_as_in_plain_diffusers",
    "aesthetic_score": f"{_REFINER}::test_a_finished_picture_is_refined_as_in_plain_diffusers",
    "negative_aesthetic_score": f"{_REFINER}::test_a_finished_picture_is_refined_as_in_plain_diffusers",
    "outputs.format": "tests/finish/test_renditions.py::test_each_format_is_the_picture_that_was_drawn",
    "outputs.quality": "tests/finish/test_renditions.py::test_quality_is_worth_its_bytes",
    "outputs.max_side": "tests/finish/test_renditions.py::test_no_side_is_longer_than_asked_and_the_shape_stays",
    "destination.prefix": "tests/finish/test_delivery.py::test_a_picture_is_kept_below_the_prefix_that_was_asked_for",
}
