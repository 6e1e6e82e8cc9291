"""As which files a picture is kept, and where."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from events.prompt.canvas import Canvas
from events.prompt.field_group import FieldGroup

# No part of it begins with a dot, so that none leads out.
_PREFIX: Final = r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*"


def is_prefix(text: str) -> bool:
    """Whether this is a prefix that a prompt may name."""
    return re.fullmatch(_PREFIX, text) is not None


def _prefix(text: str) -> str:
    if not is_prefix(text):
        raise ValueError("must be names of letters, digits, '.', '_' and '-' with a slash between, such as team/2026")
    return text


Prefix = Annotated[str, Field(max_length=64, json_schema_extra={"pattern": f"^{_PREFIX}$"}), AfterValidator(_prefix)]
Format = Literal["png", "jpeg", "webp", "avif"]

# Where a picture loses little that the eye would see, and most of its bytes; a PNG loses nothing.
USUAL_QUALITY: Final = {"jpeg": 90, "webp": 90, "avif": 80}
# An outcome names each of them with a URL of its own, and has 64 KiB for all.
MOST_FILES: Final = 16
MOST_OUTPUTS: Final = 8


class Output(FieldGroup):
    """One of the files that a picture is kept as."""

    format: Format = Field(default="png", description="png loses nothing; the others are smaller")
    quality: Annotated[int, Field(ge=1, le=100)] | None = Field(
        default=None, description="how much of the picture is kept; left out, 90, and of avif 80; a png has none"
    )
    max_side: Annotated[int, Field(ge=16, le=2048)] | None = Field(
        default=None, description="pixels; what is larger is scaled down until both sides fit"
    )

    @model_validator(mode="before")
    @classmethod
    def _usual_quality(cls, received: Any) -> Any:
        if isinstance(received, dict) and received.get("format") in list(USUAL_QUALITY):
            quality = received.get("quality")
            return received | {"quality": USUAL_QUALITY[received["format"]] if quality is None else quality}
        return received

    @model_validator(mode="after")
    def _png_loses_nothing(self) -> Self:
        if self.format == "png" and self.quality is not None:
            raise ValueError("quality: a png has none, for it loses nothing; leave it out")
        return self


class Destination(FieldGroup):
    """Where in the image bucket a picture is kept."""

    prefix: Prefix = Field(description="one that the installation allows, or what lies below it, such as team/2026")


class Delivery(Canvas):
    """As which files a picture is kept, and where."""

    outputs: list[Output] = Field(
        [Output()],
        min_length=1,
        max_length=MOST_OUTPUTS,
        description="files of each picture; the first is the image, the others are its renditions",
        json_schema_extra={"default": [{"format": "png"}]},
    )
    destination: Destination | None = Field(
        None, description="prefix of the image bucket that the files are kept below; left out, `images`"
    )

    @model_validator(mode="after")
    def _an_outcome_can_name_them(self) -> Self:
        if self.num_images * len(self.outputs) > MOST_FILES:
            raise ValueError(f"num_images times the number of outputs must be at most {MOST_FILES}")
        return self
