"""A second model that goes over the picture."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Field, ValidationInfo, field_validator

from events.prompt.sampling import MOST_STEPS, refuse, whole_way
from events.prompt.schedulers import only_from_noise, settled, too_many
from events.prompt.sources import STRENGTH, Sources

HIGH_NOISE_FRACTION: Final = 0.8
REFINER_STRENGTH: Final = 0.3
AESTHETIC_SCORE: Final = 6.0
NEGATIVE_AESTHETIC_SCORE: Final = 2.5

Score = Annotated[float, Field(ge=0, le=10)]
Mode = Literal["none", "ensemble", "image"]


class Refining(Sources):
    """A second model that goes over the picture."""

    refiner: Mode = Field(
        "none", description="ensemble: it takes the last of the steps; image: it draws the finished picture partly anew"
    )
    refiner_steps: Annotated[int, Field(ge=1, le=MOST_STEPS)] | None = Field(
        None, description="steps of the refiner's whole way, of which it takes its part; left out, as the model's"
    )
    high_noise_fraction: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None, validate_default=True, description="ensemble: part of the steps before the refiner's; left out, 0.8"
    )
    refiner_strength: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None, validate_default=True, description="image: how much is drawn anew; left out, 0.3"
    )
    aesthetic_score: Score | None = Field(
        None, description="how beautiful the refiner is told that the picture is, of 10; left out, 6"
    )
    negative_aesthetic_score: Score | None = Field(
        None, description="how beautiful it is told that what it leads away from is; left out, 2.5"
    )

    @field_validator("refiner")
    @classmethod
    def _can_go_on(cls, mode: Mode, info: ValidationInfo) -> Mode:
        if mode == "ensemble" and info.data.get("mask_image"):
            # What the mask keeps would stay as noisy as it was where the refiner took over.
            raise ValueError("ensemble cannot keep what a mask_image keeps; use image")
        if mode == "ensemble" and (info.data.get("timesteps") or info.data.get("sigmas")):
            raise ValueError("ensemble divides the steps by itself; leave timesteps and sigmas out")
        if mode != "none" and (name := info.data.get("scheduler")):
            refuse(only_from_noise(settled(name, None)[0]))
        return mode

    @field_validator("refiner_steps")
    @classmethod
    def _not_too_many_for_the_scheduler(cls, steps: int | None, info: ValidationInfo) -> int | None:
        if steps and (name := info.data.get("scheduler")):
            refuse(too_many(settled(name, None)[0], steps))
        return steps

    @field_validator("refiner_steps", "aesthetic_score", "negative_aesthetic_score")
    @classmethod
    def _for_a_refiner(cls, value: float | None, info: ValidationInfo) -> float | None:
        if value is not None and info.data.get("refiner") == "none":
            raise ValueError("has no effect without a refiner")
        return value

    @field_validator("high_noise_fraction")
    @classmethod
    def _divides_the_steps(cls, fraction: float | None, info: ValidationInfo) -> float | None:
        steps, refiner = whole_way(info.data), info.data.get("refiner")
        if fraction is not None and refiner in ("none", "image"):
            raise ValueError("has no effect without refiner ensemble")
        if refiner == "ensemble" and steps:
            _divide(fraction or HIGH_NOISE_FRACTION, steps, info.data)
        return fraction

    @field_validator("refiner_strength")
    @classmethod
    def _leaves_the_refiner_a_step(cls, strength: float | None, info: ValidationInfo) -> float | None:
        steps, refiner = info.data.get("refiner_steps") or whole_way(info.data), info.data.get("refiner")
        if strength is not None and refiner in ("none", "ensemble"):
            raise ValueError("has no effect without refiner image")
        if refiner == "image" and steps and int(steps * (strength or REFINER_STRENGTH)) < 1:
            raise ValueError(f"leaves no step of {steps}; ask for more of either")
        return strength


def _divide(fraction: float, steps: int, said: dict[str, Any]) -> None:
    # In floating point 5 * (1 - 0.8) is less than 1.
    of_the_base = round(steps * fraction, 6)
    of_the_refiner = round((said.get("refiner_steps") or steps) * (1 - fraction), 6)
    if of_the_base < 1 or of_the_refiner < 1:
        raise ValueError(f"{fraction:g} leaves one of the models no step; ask for more steps")
    if said.get("image"):
        begun = int(steps * (said.get("strength") or STRENGTH))
        if begun < round(steps * (1 - fraction), 6) + 1:
            raise ValueError("leaves only the refiner a step; ask for more strength, or for refiner image")
