"""Settings: `DARKROOM_*` for what is ours, Knative's own variables for sinks and the port.

Object storage is configured by the variables of AWS's SDKs (AWS_ENDPOINT_URL_S3, AWS_REGION, the credentials chain).
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from events.prompt.delivery import is_prefix
from events.promptfile import Limits
from function.layout import OWN
from function.settings_text import Extensions, Names, Seconds, Tags

PREFIX: Final = "DARKROOM_"
KNATIVE: Final = {"port": "PORT", "sink": "K_SINK", "ce_overrides": "K_CE_OVERRIDES", "ca_certs": "K_CA_CERTS"}


class WrongSettings(ValueError):
    """A setting is missing or cannot be used; the message is the sentence to show."""


class Settings(BaseModel):
    """Everything that can be set, with what it does and its default."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    image_bucket: str = Field("images", min_length=1, description="bucket for images, records, claims and results")
    prompt_buckets: Names = Field(
        (), description="buckets whose objects are prompts, comma-separated; no other is read"
    )
    prompt_prefix: str = Field("", description="only objects whose key begins so are prompts")
    prompt_suffix: str = Field("", description="only objects whose key ends so are prompts")
    input_buckets: Names = Field(
        (), description="buckets that prompts may take pictures from, comma-separated; no other is read"
    )
    max_input_file: int = Field(12 << 20, gt=0, description="bytes of such a picture, at most")
    max_prompt_file: int = Field(1 << 20, gt=0, description="bytes of a prompt file, at most")
    max_prompts: int = Field(10_000, gt=0, description="prompts that are written in a file, at most")
    max_expanded: int = Field(10_000, gt=0, description="prompts that a file comes to with matrix and runs, at most")
    model: str = Field("models/shapes", min_length=1, description="model directory, or hub id in the local cache")
    model_revision: str | None = Field(None, description="the hub id's pinned commit, 40 hex digits")
    model_variant: str | None = Field(None, description="weights variant, such as fp16")
    vae: str | None = Field(
        None, description="directory or hub id@commit of a VAE to use instead, such as an fp16-safe one"
    )
    refiner: str | None = Field(
        None, description="directory or hub id@commit of an SDXL refiner, for the prompts that ask for one"
    )
    adapters: str | None = Field(None, description="JSON file that lists the adapters that prompts may name")
    adapters_kept: int = Field(4 << 30, ge=0, description="bytes of adapters that stay loaded for the next prompts")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="where to render; auto: the GPU if there is one")
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = Field(
        "auto", description="auto: float16 on a GPU, float32 on a CPU"
    )
    attention: Literal["sdpa", "xformers"] = Field(
        "sdpa", description="how the UNet attends; sdpa: torch's own way; xformers: with the extra [xformers], on a GPU"
    )
    offload: Literal["none", "model", "sequential"] = Field(
        "none",
        description="what is on the GPU at a time, for models larger than it; model: one part; sequential: a layer",
    )
    vae_tiling: Literal["auto", "on", "off"] = Field(
        "auto", description="decode in tiles; auto: pictures of over twice the model's size; off: when memory runs out"
    )
    warm_up_steps: int = Field(
        2, ge=0, le=100, description="steps of the picture that is drawn before the first prompt"
    )
    mark: Literal["auto", "c2pa", "none"] = Field(
        "auto",
        description="what marks a file as a model's; auto: XMP, and C2PA with a certificate; c2pa: both, or no start",
    )
    c2pa_certificate: str | None = Field(
        None, description="PEM file with the certificate to sign files with, and those that lead to its authority"
    )
    c2pa_key: str | None = Field(None, description="PEM file with the key of that certificate")
    render_limit: Seconds = Field(540, description="seconds that a render may take; below Knative's timeoutSeconds")
    check_store: bool = Field(
        default=False, description="prove at start that the store keeps its promises, and serve no other"
    )
    lease: Seconds = Field(30, description="seconds without a beat after which an attempt counts as dead")
    sweep_interval: Seconds = Field(30, description="seconds between sweeps in standalone")
    horizon: Seconds = Field(7 * 86400, description="seconds after which the sweep leaves an object alone")
    forgotten_after: Seconds = Field(600, description="seconds after which the sweep announces an unread object")
    republish_after: Seconds = Field(
        18_000, description="seconds after which the sweep announces a file with prompts that have no outcome yet"
    )
    untold_after: Seconds = Field(60, description="seconds after which the sweep tells an outcome that the sink lacks")
    publish_at_once: int = Field(16, ge=1, le=256, description="requests of prompt files that intake publishes at once")
    url_expiry: int = Field(86400, ge=1, le=604_800, description="seconds that a presigned image URL lives, at most")
    public_url: str | None = Field(
        None, description="base URL of the image bucket, if it is public; else URLs are presigned"
    )
    s3_public_endpoint: str | None = Field(None, description="S3 endpoint that outsiders reach, to presign URLs for")
    destinations: Names = Field(
        (), description="prefixes of the image bucket, comma-separated, that a prompt may have its files kept below"
    )
    cache_control: str = Field(
        "private, max-age=31536000, immutable", pattern="^[ -~]*$", description="Cache-Control of pictures"
    )
    tags: Tags = Field(
        default_factory=dict, description="tags that the store puts on pictures, such as team=art,project=x"
    )
    sse_kms_key: str | None = Field(
        None, pattern="^[ -~]*$", description="KMS key that the store encrypts pictures with"
    )
    metadata: Literal["full", "none"] = Field(
        "full", description="what a file says of how it was drawn; full: prompt, seed and model, for everyone to read"
    )
    door_token: Annotated[SecretStr, Field(min_length=1)] | None = Field(
        None, description="token that all doors but render's and intake's POST / ask for as Authorization: Bearer"
    )
    generate: bool = Field(
        default=False, description="answer POST /generate and /v1/images/generations at render, as standalone does"
    )
    source: str = Field("/darkroom", min_length=1, description="the source attribute of outcomes")
    log_format: Literal["auto", "console", "json"] = Field("auto", description="auto: console on a terminal, else json")
    drain_grace: Seconds = Field(570, description="seconds that a shutdown waits for running renders")
    host: str = Field("0.0.0.0", description="address to listen on")  # noqa: S104  # a container listens on all
    port: int = Field(8080, ge=0, le=65535, description="port to listen on")
    sink: str | None = Field(
        None,
        description="URL that outcomes are POSTed to, without it they are the HTTP reply; intake and sweep need it",
    )
    ce_overrides: Extensions = Field(
        default_factory=dict, description="JSON with extensions to set on all that is POSTed there, by SinkBinding"
    )
    ca_certs: str | None = Field(None, description="PEM certificates to trust at the sink, by SinkBinding")

    @field_validator(
        *("sink", "model_revision", "model_variant", "vae", "refiner", "adapters", "public_url", "s3_public_endpoint"),
        *("sse_kms_key", "ca_certs"),
    )
    @classmethod
    def _empty_is_unset(cls, value: str | None) -> str | None:
        return value or None

    @field_validator("destinations")
    @classmethod
    def _beside_ours(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        prefixes = tuple(prefix.strip("/") for prefix in value)
        for prefix in prefixes:
            if not is_prefix(prefix) or f"{prefix}/".startswith(OWN):
                raise ValueError(f"must be prefixes such as team/art, none of them below {', '.join(OWN)}")
        return prefixes

    @field_validator("door_token", "sse_kms_key", mode="before")
    @classmethod
    def _without_newline(cls, value: object) -> object:
        # What is made from a file mostly ends in one, which no header can hold.
        return value.strip() if isinstance(value, str) else value

    @field_validator("sink", "public_url", "s3_public_endpoint")
    @classmethod
    def _is_url(cls, value: str | None) -> str | None:
        if value is not None and not re.match(r"https?://[^/\s]", value):
            raise ValueError("must be a URL that begins with http:// or https://")
        return value

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """The settings in `environment`; `WrongSettings` names every one that cannot be used."""
        values = {field: environment[name] for field, name in variables().items() if environment.get(name) is not None}
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            names = variables()
            faults = [
                f"{names[str(row['loc'][0])]}: {_complaint(row['type'], row['msg'])}"
                for row in error.errors(include_url=False, include_input=False)
            ]
            raise WrongSettings("; ".join(faults)) from None

    @property
    def prompt_limits(self) -> Limits:
        """How much is taken of one prompt file."""
        return Limits(self.max_prompt_file, self.max_prompts, self.max_expanded)

    @property
    def beat(self) -> float:
        """Seconds between the beats of a claim: two may be missed before the lease is over."""
        return self.lease / 3

    def shown(self) -> dict[str, Any]:
        """Each variable's effective value, as it would be set, secrets masked."""
        plain = self.model_dump(mode="json")
        plain |= {field: ",".join(value) for field, value in self if isinstance(value, tuple)}
        plain["tags"] = ",".join(f"{name}={text}" for name, text in self.tags.items())
        plain["ce_overrides"] = json.dumps({"extensions": plain["ce_overrides"]}) if self.ce_overrides else None
        return {name: plain[field] for field, name in variables().items()}


def _complaint(kind: str, message: str) -> str:
    if kind.endswith("too_short"):
        return "must not be empty"
    return re.sub("^(Input|String) should", "must", message.removeprefix("Value error, "))


def variables() -> dict[str, str]:
    """Each setting's environment variable."""
    return {field: KNATIVE.get(field, PREFIX + field.upper()) for field in Settings.model_fields}


def unknown(environment: Mapping[str, str]) -> list[str]:
    """A sentence for each `DARKROOM_*` variable that sets nothing, with the nearest name that would."""
    # Compared without what all have in common, which would make every two names look alike.
    known = {name.removeprefix(PREFIX): name for name in variables().values()}
    sentences = []
    for name in sorted(environment):
        if name.startswith(PREFIX) and name not in known.values():
            near = difflib.get_close_matches(name.removeprefix(PREFIX), known, n=1)
            sentences.append(f"{name} sets nothing" + (f"; did you mean {known[near[0]]}?" if near else ""))
    return sentences
