"""The scheduler that a prompt asks for, as the model and the prompt want it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Literal

import diffusers

from events.prompt import Fault, Prompt
from events.prompt.sampling import whole_way
from events.prompt.schedulers import SIGMAS, misfit, only_from_noise, settled, too_many, unlisted
from function.errors import InvalidRequest

if TYPE_CHECKING:
    from diffusers import SchedulerMixin

# What a class wants on latents, where the model's own settings leave it open: its defaults are for pixels, and clip.
_ON_LATENTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "DDIMScheduler": {"clip_sample": False, "set_alpha_to_one": False},
    "DDPMScheduler": {"clip_sample": False},
    "DPMSolverSinglestepScheduler": {"lower_order_final": True},
    "PNDMScheduler": {"skip_prk_steps": True},
}
# These mean something else, or nothing, to another class than the model's own.
_OF_ONE_CLASS: Final = frozenset({"algorithm_type", "solver_order", "solver_type"})


def sampling_of(own: SchedulerMixin, prompt: Prompt) -> dict[str, Any]:
    """The class that draws and what it is told, in the words of a prompt, and how many steps it takes.

    `InvalidRequest` where the model's own scheduler, which no prompt names, cannot do what is asked for.
    """
    kind, told = settled(prompt.scheduler or type(own).__name__, prompt.scheduler_config)
    steps = whole_way(dict(prompt)) or prompt.num_inference_steps
    complaints = {
        "scheduler_config": misfit(kind, told),
        "timesteps": unlisted(kind, "timesteps", told) if prompt.timesteps else None,
        "sigmas": unlisted(kind, "sigmas", told) if prompt.sigmas else None,
        "num_inference_steps": too_many(kind, steps),
        "refiner_steps": too_many(kind, prompt.refiner_steps or 0),
        "image": only_from_noise(kind) if prompt.image else None,
        "refiner": only_from_noise(kind) if prompt.refiner != "none" else None,
    }
    if faults := [Fault(field, complaint) for field, complaint in complaints.items() if complaint]:
        raise InvalidRequest("; ".join(map(str, faults)), faults)
    return {"scheduler": kind, "scheduler_config": told or None, "num_inference_steps": steps}


def check_division(own: SchedulerMixin, rendered: Mapping[str, Any], half: Literal["base", "refiner"]) -> None:
    """Raise `InvalidRequest` where an ensemble leaves this half of it no step, by where the scheduler puts them."""
    fraction, steps = rendered["high_noise_fraction"], rendered["num_inference_steps"]
    scheduler = scheduler_like(own, rendered["scheduler"], rendered["scheduler_config"] or {})
    # As diffusers reckons: not by their number, but by how noisy it still is.
    whole = scheduler.config.num_train_timesteps
    cut = round(whole - fraction * whole)
    if half == "base":
        scheduler.set_timesteps(steps)
        left_out = steps - int(steps * rendered["strength"]) if rendered["image"] else 0
        has_one = bool(scheduler.timesteps[left_out * scheduler.order] >= cut)
    else:
        scheduler.set_timesteps(rendered["refiner_steps"])
        has_one = bool(scheduler.timesteps[-1] < cut)
    if not has_one:
        complaint = f"{fraction:g} leaves the {half} no step of those that {rendered['scheduler']} makes"
        fault = Fault("high_noise_fraction", f"{complaint}; ask for {'more' if half == 'base' else 'less'}")
        raise InvalidRequest(str(fault), [fault])


def scheduler_like(own: SchedulerMixin, kind: str, told: Mapping[str, Any]) -> SchedulerMixin:
    """A scheduler of that class that has drawn nothing yet, with the settings of the model's `own` and what is told."""
    if kind == type(own).__name__:
        known, chosen = dict(own.config), type(own)
    else:
        known = {name: value for name, value in own.config.items() if name not in _OF_ONE_CLASS}
        chosen = getattr(diffusers, kind)
    meant = {name: value for name, value in _ON_LATENTS.get(kind, {}).items() if name not in known}
    if any(told.get(name) for name in SIGMAS):
        meant |= dict.fromkeys(SIGMAS, False)
    # Not within the settings: of those diffusers drops what was a default to the model's own.
    return chosen.from_config(known, **{**meant, **told})
