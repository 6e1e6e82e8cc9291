"""Pictures to begin with, which lie in buckets."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, TypeVar

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

from events.prompt.field_group import FieldGroup
from events.prompt.sampling import Sampling, refuse, whole_way
from events.prompt.schedulers import only_from_noise, settled
from events.prompt.text import Legible

# The longest key that S3 takes, behind the longest name of a bucket.
_LONGEST_KEY: Final = 1024
_BEGINNING: Final = "^s3://[A-Za-z0-9][A-Za-z0-9._-]{1,62}/."
_SUM: Final = "[0-9a-f]{64}"
_URI: Final = re.compile(r"s3://(?P<bucket>[A-Za-z0-9][A-Za-z0-9._-]{1,62})/(?P<key>.+)", re.DOTALL)

STRENGTH: Final = 0.8

Value = TypeVar("Value")
Asked = TypeVar("Asked", bound="Input | float | None")


def _is_object(uri: str) -> str:
    parts = _URI.fullmatch(uri)
    # Some stores take the segments . and .. for paths.
    if parts is None or not {".", ".."}.isdisjoint(parts["key"].split("/")):
        raise ValueError("must name an object in a bucket, such as s3://inputs/cat.png; URLs are not fetched")
    if len(parts["key"].encode("utf-8", "surrogatepass")) > _LONGEST_KEY:
        raise ValueError(f"must have a key of at most {_LONGEST_KEY} bytes")
    return uri


def _is_sum(text: str) -> str:
    if not re.fullmatch(_SUM, text):
        raise ValueError("must be a sha256: 64 digits 0-9 and a-f")
    return text


Uri = Annotated[
    str,
    StringConstraints(max_length=_LONGEST_KEY + 70),
    Field(json_schema_extra={"pattern": _BEGINNING}),
    Legible,
    AfterValidator(_is_object),
]
Sum = Annotated[str, Field(json_schema_extra={"pattern": f"^{_SUM}$"}), AfterValidator(_is_sum)]


def _or_its_uri(schema: dict[str, Any]) -> None:
    """Let the schema say that a URI alone is enough."""
    spelled_out = dict(schema)
    schema.clear()
    schema["anyOf"] = [{"type": "string", "pattern": _BEGINNING}, spelled_out]


class Input(FieldGroup):
    """An object in a bucket: its URI, or that and its sha256."""

    model_config = ConfigDict(json_schema_extra=_or_its_uri)

    uri: Uri = Field(description="s3://bucket/key, with the key exactly as it is: nothing in it is decoded")
    sha256: Sum | None = Field(default=None, description="what the object must hold; left out, anything")

    @model_validator(mode="before")
    @classmethod
    def _spelled_out(cls, received: Any) -> Any:
        return {"uri": received} if isinstance(received, str) else received

    @property
    def bucket(self) -> str:
        return self.uri.split("/", 3)[2]

    @property
    def key(self) -> str:
        return self.uri.split("/", 3)[3]


class Sources(Sampling):
    """A picture to begin with, instead of noise alone."""

    image: Input | None = Field(None, description="picture to begin with, an object such as s3://inputs/cat.png")
    mask_image: Input | None = Field(
        None, description="where to draw anew: where this is white; what it has black is kept as in image"
    )
    strength: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None,
        validate_default=True,
        description="how much of image is drawn anew, as a part of all steps; left out, 0.8",
    )

    @field_validator("image")
    @classmethod
    def _can_begin_with_it(cls, image: Input | None, info: ValidationInfo) -> Input | None:
        if image and (name := info.data.get("scheduler")):
            refuse(only_from_noise(settled(name, None)[0]))
        return image

    @field_validator("mask_image", "strength")
    @classmethod
    def _for_an_image(cls, value: Asked, info: ValidationInfo) -> Asked:
        if value is not None and info.data.get("image", value) is None:
            raise ValueError("has no effect without an image")
        return value

    @field_validator("strength")
    @classmethod
    def _leaves_a_step(cls, strength: float | None, info: ValidationInfo) -> float | None:
        steps = whole_way(info.data)
        if info.data.get("image") and steps and int(steps * (strength or STRENGTH)) < 1:
            raise ValueError(f"leaves no step of {steps}; ask for more of either")
        return strength


def inputs_in(value: object, where: str = "") -> Iterator[tuple[str, Input]]:
    """Every object that a prompt names, however deep, with the field that names it."""
    if isinstance(value, Input):
        yield where, value
    elif isinstance(value, FieldGroup):
        for name in type(value).model_fields:
            yield from inputs_in(getattr(value, name), f"{where}.{name}".lstrip("."))
    elif isinstance(value, list | tuple):
        for index, one in enumerate(value):
            yield from inputs_in(one, f"{where}.{index}")


def with_inputs(value: Value, others: Mapping[Input, Input]) -> Value:
    """The same prompt with other objects in the place of those that it names."""
    changed: Any = value
    if isinstance(value, Input):
        changed = others[value]
    elif isinstance(value, FieldGroup):
        fields = {name: getattr(value, name) for name in type(value).model_fields}
        new = {name: with_inputs(field, others) for name, field in fields.items()}
        changed = value.model_copy(update={name: new[name] for name in new if new[name] is not fields[name]})
    elif isinstance(value, list):
        changed = [with_inputs(one, others) for one in value]
    result: Value = changed
    return result
