"""The data of each event."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, InstanceOf, computed_field, model_validator

from events.prompt import Prompt

Code = Literal[
    "attempts_exhausted",
    "expired",
    "input_unusable",
    "invalid_prompt",
    "invalid_prompt_file",
    "lacking",
    "no_picture",
    "object_gone",
    "out_of_memory",
    "prompt_mismatch",
    "render_limit_exceeded",
]

# What may be unusual about a picture that was drawn all the same.
Unusual = Literal["decoded_again", "in_tiles", "offloaded", "unguided"]

# A stranger's names and ids are handed on whatever they hold; `str` would refuse half of a surrogate pair.
Text = InstanceOf[str]
Count = Annotated[InstanceOf[int], Field(json_schema_extra={"minimum": 0})]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def opened(schema: dict[str, Any]) -> None:
    """Let a published schema say that fields may be added, and that one without a value is left out and never null."""
    schema.pop("additionalProperties", None)
    for name, field in schema["properties"].items():
        if "default" in field and field["default"] is None:
            never_null(schema, name)


def never_null(schema: dict[str, Any], name: str) -> None:
    field = schema["properties"][name]
    del field["default"]
    (kind,) = (kind for kind in field.pop("anyOf") if kind.get("type") != "null")
    schema["properties"][name] = kind | field


class Emitted(BaseModel):
    """What we write: these fields and no others, while the schema leaves room for those of later versions."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, json_schema_extra=opened)


class Object(Emitted):
    """An object in a bucket."""

    bucket: Text = Field(description="the bucket's name")
    key: Text = Field(description="the object's key, exactly as it is")
    version: Text | None = Field(None, description="the version's id, where the bucket keeps versions")
    etag: Text | None = Field(None, description="the ETag, without its quotes")
    size: Count | None = Field(None, description="bytes")


class SourceObject(Object):
    """The prompt file that asked."""

    index: Count = Field(description="which of the file's prompts it is, counted from 0")


class Dropped(Emitted):
    """An object was created that may hold prompts."""

    object: Object = Field(description="the object")


class Requested(Prompt):
    """A prompt to draw; a field that is not listed is refused."""

    model_config = ConfigDict(json_schema_extra=lambda schema: never_null(schema, "object"))

    object: Object | None = Field(None, description="the file that the prompt came from; only intake sets it")


class File(Emitted):
    """A file in the image bucket."""

    bucket: Text = Field(description="the image bucket")
    key: Text = Field(description="the object's key")
    sha256: Sha256 = Field(description="the file's sha256, in hex")
    size: int = Field(ge=0, description="the file's bytes")
    width: int = Field(ge=1, description="pixels")
    height: int = Field(ge=1, description="pixels")
    content_type: str = Field(description="the file's media type")

    @computed_field(description="bucket and key in one", json_schema_extra={"format": "uri"})  # type: ignore[prop-decorator]
    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


class Image(File):
    """A picture in the image bucket."""

    seed: int = Field(ge=0, lt=2**64, description="draws this picture again, with num_images 1")
    pixels_sha256: Sha256 = Field(description="the sha256 of what was drawn: each pixel's red, green and blue, in hex")
    renditions: list[File] | None = Field(
        default=None, description="the other files of this picture, in the order of outputs"
    )


class Link(Emitted):
    """Where a picture can be fetched; another one at every telling."""

    url: Text = Field(description="gives the file to whoever asks", json_schema_extra={"format": "uri"})
    url_expires_at: Text | None = Field(
        None, description="when the URL ends; left out, it does not", json_schema_extra={"format": "date-time"}
    )


class LinkedFile(Link, File):
    """A file, and where it can be fetched."""


class LinkedImage(Link, Image):
    """A picture, and where it can be fetched."""

    renditions: list[LinkedFile] | None = Field(  # type: ignore[assignment]  # frozen
        None, description="the other files of this picture, in the order of outputs"
    )


class Model(Emitted):
    """The model that drew."""

    name: Text = Field(description="its directory or hub id")
    revision: Text | None = Field(description="the hub's commit; null for a plain directory")


class Adapter(Emitted):
    """What the model was changed by."""

    name: Text = Field(description="its name, as the prompt has it")
    kind: Text = Field(
        description="lora, controlnet or ip_adapter; or image_encoder, that of the IP-Adapter of this name"
    )
    sha256: Sha256 = Field(description="the sha256 of its weights, in hex")


def _more_codes(schema: dict[str, Any]) -> None:
    schema["anyOf"] = [{"enum": schema.pop("enum")}, {}]


class Missing(Emitted):
    """A picture that could not be drawn, while others could."""

    seed: int = Field(ge=0, lt=2**64, description="that of the picture")
    code: Code = Field(description="as in a failure; later there may be more", json_schema_extra=_more_codes)
    message: Text = Field(description="why, in one sentence")


class Remark(Emitted):
    """What was unusual about a picture."""

    seed: int = Field(ge=0, lt=2**64, description="that of the picture")
    what: Unusual = Field(
        description=(
            "decoded_again: half precision gave black or NaN, so it was decoded in float32; in_tiles: memory ran out, "
            "and it was tried again with the VAE in tiles, which changes pixels where they meet; offloaded: it was "
            "tried again with the model's parts taking turns in memory; unguided: what the prompt says to keep out had "
            "no effect, for guidance_scale is at most 1, or the model takes no guidance; later there may be more"
        ),
        json_schema_extra=_more_codes,
    )


class RenderedPrompt(Prompt):
    """The prompt as rendered: what was left out is filled in."""

    model_config = ConfigDict(
        json_schema_extra=lambda schema: schema.pop("additionalProperties"),
        json_schema_serialization_defaults_required=True,
    )

    width: int = Field(ge=1, description="pixels")
    height: int = Field(ge=1, description="pixels")
    seed: int = Field(ge=0, lt=2**64, description="that of the first image; each next one has the next")
    scheduler: str = Field(description="diffusers' class")

    @model_validator(mode="after")
    def _say_all(self) -> Self:
        # What is a default here was a choice for the render.
        _say_all(self)
        return self


def _say_all(value: object) -> None:
    if isinstance(value, BaseModel):
        value.model_fields_set.update(type(value).model_fields)
        for _, field in value:
            _say_all(field)
    elif isinstance(value, list | tuple):
        for one in value:
            _say_all(one)


class Outcome(Emitted):
    """What every outcome says of its request."""

    key: Sha256 = Field(description="the request's key: the sha256 of its source, a NUL byte and its id")
    source_object: SourceObject | None = Field(None, description="the prompt file, if there was one")


class Recorded(Outcome):
    """A completion as it is recorded: without URLs."""

    images: list[Image] = Field(description="the pictures, with those that are missing num_images of them")
    prompt: RenderedPrompt = Field(description="the prompt as rendered")
    model: Model = Field(description="the model that drew")
    adapters: list[Adapter] | None = Field(None, description="what changed the model, if anything did")
    software: dict[str, str] = Field(description="the versions of what drew, such as darkroom, diffusers and torch")
    device: str = Field(description="what it was drawn on")
    timings: dict[str, float] = Field(description="seconds by stage, such as denoise, decode and encode")
    missing: list[Missing] | None = Field(None, description="the pictures that could not be drawn, if any")
    remarks: list[Remark] | None = Field(None, description="what was unusual, if anything was")


class Completed(Recorded):
    """The request was drawn."""

    images: list[LinkedImage] = Field(description="the pictures, with those that are missing num_images of them")  # type: ignore[assignment]  # frozen


class Fault(Emitted):
    """One thing that is wrong."""

    where: Text = Field(description="the field, line or index; empty where it is the whole")
    message: Text = Field(description="what is wrong there, in words for the one who wrote it")


class Failed(Outcome):
    """The request cannot be drawn."""

    code: Code = Field(description="the kind of failure; later there may be more", json_schema_extra=_more_codes)
    message: Text = Field(description="why, in one sentence")
    faults: list[Fault] | None = Field(None, description="everything that is wrong with the prompt or its file")
