"""From noise to a picture, step by step."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, Final, Literal, Self, TypeVar

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from events.prompt.field_group import FieldGroup
from events.prompt.schedulers import SchedulerConfig, SchedulerName, misfit, settled, too_many, unlisted

MOST_STEPS: Final = 150

Number = TypeVar("Number", int, float)


def _falls(numbers: list[Number]) -> list[Number]:
    if any(later >= earlier for earlier, later in pairwise(numbers)):
        raise ValueError("must fall from each number to the next")
    return numbers


Timestep = Annotated[int, Field(ge=0, le=999)]
Sigma = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]
Timesteps = Annotated[list[Timestep], Field(min_length=1, max_length=MOST_STEPS), AfterValidator(_falls)]
Sigmas = Annotated[list[Sigma], Field(min_length=2, max_length=MOST_STEPS + 1), AfterValidator(_falls)]


class Sampling(FieldGroup):
    """From noise to a picture, step by step."""

    scheduler: SchedulerName | None = Field(
        None, description="a class of diffusers or A1111's name for it; left out, the model's own"
    )
    scheduler_config: SchedulerConfig | None = Field(
        None, description="what the scheduler is told beside the model's own settings and what A1111's name implies"
    )
    num_inference_steps: int = Field(30, ge=1, le=MOST_STEPS, description="denoising steps")
    timesteps: Timesteps | None = Field(
        None, description="the steps one by one, from 999 down; their number counts as num_inference_steps"
    )
    sigmas: Sigmas | None = Field(
        None, description="the noise before each step and after the last, which is 0; counts as timesteps do"
    )
    guidance_scale: float = Field(
        5.0,
        ge=0,
        le=30,
        allow_inf_nan=False,
        description="how closely to follow the prompt; up to 1 there is no guidance, and nothing negative counts",
    )
    guidance_rescale: float = Field(
        0.0, ge=0, le=1, allow_inf_nan=False, description="how much of a high guidance's glare is taken back"
    )
    seed: int | None = Field(
        None,
        ge=0,
        lt=2**64,
        description="left out, derived from the request's key; as with torch on a CPU, seeds 2^32 apart draw the same",
    )

    @field_validator("scheduler_config")
    @classmethod
    def _fits_the_scheduler(cls, config: SchedulerConfig | None, info: ValidationInfo) -> SchedulerConfig | None:
        if config and (name := info.data.get("scheduler")):
            refuse(misfit(*settled(name, config)))
        return config

    @field_validator("num_inference_steps")
    @classmethod
    def _not_too_many(cls, steps: int, info: ValidationInfo) -> int:
        if name := info.data.get("scheduler"):
            refuse(too_many(settled(name, None)[0], steps))
        return steps

    @field_validator("timesteps", "sigmas")
    @classmethod
    def _can_be_listed(cls, listed: list[Number] | None, info: ValidationInfo) -> list[Number] | None:
        if listed is None:
            return None
        if info.field_name == "sigmas" and info.data.get("timesteps") is not None:
            raise ValueError("is said by timesteps, too; give one of them")
        if name := info.data.get("scheduler"):
            kind, told = settled(name, info.data.get("scheduler_config"))
            what: Literal["timesteps", "sigmas"] = "sigmas" if info.field_name == "sigmas" else "timesteps"
            refuse(unlisted(kind, what, told))
            refuse(too_many(kind, len(listed) - (what == "sigmas")))
        return listed

    @model_validator(mode="after")
    def _as_many_steps_as_are_listed(self) -> Self:
        listed = whole_way(dict(self))
        if "num_inference_steps" in self.model_fields_set and self.num_inference_steps != listed:
            said_by = "timesteps" if self.timesteps else "sigmas"
            raise ValueError(f"num_inference_steps: is {listed} by the {said_by}; leave it out")
        return self


def whole_way(said: Mapping[str, Any]) -> int | None:
    """How many steps it is from noise to a picture, by what a prompt says; None if it says it wrongly."""
    if said.get("timesteps"):
        return len(said["timesteps"])
    return len(said["sigmas"]) - 1 if said.get("sigmas") else said.get("num_inference_steps")


def refuse(complaint: str | None) -> None:
    """Let the field that is being validated be refused with this complaint, if there is one."""
    if complaint:
        raise ValueError(complaint)
