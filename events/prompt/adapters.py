"""What changes the model for one prompt: adapters that are installed, by their names."""

from __future__ import annotations

import re
from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, model_validator

from events.prompt.field_group import FieldGroup
from events.prompt.refining import Refining
from events.prompt.sources import Input

_NAME: Final = "[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
MOST_LORAS: Final = 8
MOST_CONTROLNETS: Final = 3
MOST_IP_ADAPTERS: Final = 3

# What diffusers' pipelines with a ControlNet do not take, and would pass over in silence.
_NEGATIVE_SIZES: Final = ("negative_original_size", "negative_target_size", "negative_crops_coords_top_left")


def _is_name(text: str) -> str:
    if not re.fullmatch(_NAME, text):
        raise ValueError("must be a name of at most 64 letters, digits, '.', '_' and '-'")
    return text


Name = Annotated[str, Field(json_schema_extra={"pattern": f"^{_NAME}$"}), AfterValidator(_is_name)]
Strength = Annotated[float, Field(ge=-4, le=4)]
Weight = Annotated[float, Field(ge=0, le=2)]


class Lora(FieldGroup):
    """A LoRA: a small change of the model's weights, such as a style or a character."""

    name: Name = Field(description="the name that it is installed under")
    scale: Strength = Field(1.0, description="how much of it; below 0, its opposite")
    text_encoder_scale: Strength | None = Field(
        None, description="how much of what it changes in the text encoders; left out, `scale`"
    )


class ControlNet(FieldGroup):
    """A ControlNet: the picture follows the lines, depths or poses of another."""

    name: Name = Field(description="the name that it is installed under")
    image: Input = Field(description="picture to follow, of the kind that it was trained on; resized to the size")
    scale: Weight = Field(1.0, description="how closely")
    start: Annotated[float, Field(ge=0, lt=1)] = Field(0.0, description="part of the steps before it begins")
    end: Annotated[float, Field(gt=0, le=1)] = Field(1.0, description="part of the steps after which it ends")

    @model_validator(mode="after")
    def _begins_before_it_ends(self) -> Self:
        if self.start >= self.end:
            raise ValueError("start: must be below end")
        return self


class IpAdapter(FieldGroup):
    """An IP-Adapter: a picture that says what to draw, beside the words."""

    name: Name = Field(description="the name that it is installed under")
    image: Input = Field(description="picture that says it; a square in its middle is looked at")
    scale: Weight = Field(1.0, description="how much it has a say")


class Adapting(Refining):
    """What changes the model for one prompt."""

    loras: list[Lora] = Field(
        [], max_length=MOST_LORAS, description="small changes of the model's weights, all of them together"
    )
    controlnets: list[ControlNet] = Field(
        [], max_length=MOST_CONTROLNETS, description="pictures whose lines, depths or poses are followed"
    )
    ip_adapters: list[IpAdapter] = Field(
        [], max_length=MOST_IP_ADAPTERS, description="pictures that say what to draw, beside the words"
    )

    @model_validator(mode="after")
    def _each_lora_once(self) -> Self:
        names = [lora.name for lora in self.loras]
        for index, name in enumerate(names):
            if name in names[:index]:
                raise ValueError(f"loras.{index}.name: is there already; give it one scale")
        return self

    @model_validator(mode="after")
    def _a_controlnet_heeds_it(self) -> Self:
        if not self.controlnets:
            return self
        if self.guidance_rescale and self.mask_image is None:
            raise ValueError("guidance_rescale: has no effect with controlnets, but within a mask_image")
        for name in ("timesteps", "sigmas"):
            if self.image is not None and getattr(self, name) is not None:
                raise ValueError(f"{name}: has no effect with controlnets and an image; give num_inference_steps")
        if self.image is not None and self.mask_image is None and self.refiner == "ensemble":
            raise ValueError("refiner: ensemble cannot take over from controlnets with an image; use image")
        for name in _NEGATIVE_SIZES:
            if self.mask_image is not None and getattr(self, name, None) is not None:
                raise ValueError(f"{name}: has no effect with controlnets and a mask_image")
        return self
