"""The schedulers that a prompt may name, by diffusers' own class names."""

from __future__ import annotations

from typing import Any, Final

from diffusers.configuration_utils import ConfigMixin
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from diffusers.schedulers.scheduling_euler_ancestral_discrete import EulerAncestralDiscreteScheduler
from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler
from diffusers.schedulers.scheduling_unipc_multistep import UniPCMultistepScheduler

SCHEDULERS: Final[dict[str, type[ConfigMixin]]] = {
    "DDIMScheduler": DDIMScheduler,
    "DPMSolverMultistepScheduler": DPMSolverMultistepScheduler,
    "EulerAncestralDiscreteScheduler": EulerAncestralDiscreteScheduler,
    "EulerDiscreteScheduler": EulerDiscreteScheduler,
    "UniPCMultistepScheduler": UniPCMultistepScheduler,
}


def scheduler_like(own: ConfigMixin, name: str | None) -> ConfigMixin:
    """Return a scheduler that has drawn nothing yet, with the settings of the model's `own`; None: of its class too."""
    kind: Any = type(own) if name is None else SCHEDULERS[name]
    scheduler: ConfigMixin = kind.from_config(own.config)
    return scheduler
