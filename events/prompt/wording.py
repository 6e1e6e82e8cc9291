"""What to draw, in words."""

from __future__ import annotations

from pydantic import Field

from events.prompt.field_group import FieldGroup
from events.prompt.text import Text, Words


class Wording(FieldGroup):
    """What to draw, in words."""

    prompt: Words = Field(description="what to draw")
    prompt_2: Text | None = Field(
        None, description="what to draw, for the second text encoder; left out or empty, `prompt`"
    )
    negative_prompt: Text | None = Field(
        None, description="what to keep out of the picture; without guidance it is not heeded, and a remark says so"
    )
    negative_prompt_2: Text | None = Field(
        None, description="what to keep out, for the second text encoder; left out or empty, `negative_prompt`"
    )
    clip_skip: int | None = Field(
        None, ge=1, le=11, description="last layers of the text encoders to do without, beside the one that SDXL skips"
    )
