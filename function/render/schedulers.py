"""The schedulers that a prompt may name, by diffusers' own class names."""

from __future__ import annotations

from typing import Final

from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    SchedulerMixin,
    UniPCMultistepScheduler,
)

SCHEDULERS: Final[dict[str, type[SchedulerMixin]]] = {
    "DDIMScheduler": DDIMScheduler,
    "DPMSolverMultistepScheduler": DPMSolverMultistepScheduler,
    "EulerAncestralDiscreteScheduler": EulerAncestralDiscreteScheduler,
    "EulerDiscreteScheduler": EulerDiscreteScheduler,
    "UniPCMultistepScheduler": UniPCMultistepScheduler,
}


def scheduler_like(own: SchedulerMixin, name: str | None) -> SchedulerMixin:
    """A scheduler that has drawn nothing yet, with the settings of the model's `own`; None: of its class too."""
    kind = type(own) if name is None else SCHEDULERS[name]
    return kind.from_config(own.config)
