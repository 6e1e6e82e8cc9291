"""What all groups of a prompt's fields have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class FieldGroup(BaseModel):
    """Fields that belong together; nothing unknown, nothing of another type, nothing changed later."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
