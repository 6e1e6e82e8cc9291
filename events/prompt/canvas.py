"""How large, how many, and as pictures of what size the model takes them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from events.prompt.field_group import FieldGroup
from events.prompt.sizes import AspectRatio, Size

Side = Annotated[int, Field(ge=64, le=2048, multiple_of=8)]
Pair = Annotated[list[Annotated[int, Field(ge=0, le=8192)]], Field(min_length=2, max_length=2)]
Sides = Annotated[list[Annotated[int, Field(ge=1, le=8192)]], Field(min_length=2, max_length=2)]

# What is said twice, and may be contradicted.
_SAYS_IT_TOO = {"size": ("width", "height"), "aspect_ratio": ("width", "height", "size")}


class Canvas(FieldGroup):
    """How large, how many, and as pictures of what size the model takes them."""

    width: Side | None = Field(None, description="pixels; left out, the model's own size")
    height: Side | None = Field(None, description="pixels; left out, the model's own size")
    size: Size | None = Field(None, description="width and height in one, such as 1024x768")
    aspect_ratio: AspectRatio | None = Field(
        None, description="instead of a size, such as 16:9: the nearest of the shapes that SDXL was trained on"
    )
    num_images: int = Field(1, ge=1, le=16, description="pictures, each with its own seed")
    original_size: Sides | None = Field(
        None, description="[height, width] of the photo that this might be; small looks blurred; left out, the size"
    )
    target_size: Sides | None = Field(
        None, description="[height, width] that the photo was scaled to; left out, the size"
    )
    crops_coords_top_left: Pair | None = Field(
        None, description="[top, left] that were cut off the photo; left out, [0, 0], which centres what is drawn"
    )
    negative_original_size: Sides | None = Field(
        None, description="the same for what to keep out; left out, `original_size`"
    )
    negative_target_size: Sides | None = Field(
        None, description="the same for what to keep out; left out, `target_size`"
    )
    negative_crops_coords_top_left: Pair | None = Field(
        None, description="the same for what to keep out; left out, `crops_coords_top_left`"
    )

    @field_validator("size", "aspect_ratio")
    @classmethod
    def _says_it_alone(cls, value: str | None, info: ValidationInfo) -> str | None:
        others = _SAYS_IT_TOO[str(info.field_name)]
        if value is not None and (said := [name for name in others if info.data.get(name) is not None]):
            raise ValueError(f"is said by {' and '.join(said)}, too; give width and height, size, or aspect_ratio")
        return value
