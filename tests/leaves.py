"""Every field that a prompt can set, however deep: `loras.scale`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from events.prompt import Prompt
from events.prompt.field_group import FieldGroup


def leaves(group: type[FieldGroup] = Prompt, within: str = "") -> Iterator[str]:
    """The dotted name of each field that is no group of others, nor a list of groups."""
    for name, field in group.model_fields.items():
        inner = _group_in(field.annotation)
        yield from leaves(inner, f"{within}{name}.") if inner else [f"{within}{name}"]


def _group_in(annotation: object) -> type[FieldGroup] | None:
    if parts := get_args(annotation):
        return next(filter(None, map(_group_in, parts)), None)
    return annotation if isinstance(annotation, type) and issubclass(annotation, FieldGroup) else None
