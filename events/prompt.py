"""The prompt: what a user asks to be drawn, in diffusers' own words."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


def _legible(text: str) -> str:
    # They draw nothing, and at six bytes of JSON each they would burst a completion's 64 KiB.
    if CONTROL.search(text):
        raise ValueError("must not hold control characters")
    return text


Legible = AfterValidator(_legible)
Text = Annotated[str, StringConstraints(max_length=4000), Legible]
Side = Annotated[int, Field(ge=64, le=2048, multiple_of=8)]
Scheduler = Literal[
    "DDIMScheduler",
    "DPMSolverMultistepScheduler",
    "EulerAncestralDiscreteScheduler",
    "EulerDiscreteScheduler",
    "UniPCMultistepScheduler",
]

MAX_FAULTS: Final = 50
FIRST_FAULTS: Final = 5


class Prompt(BaseModel):
    """A picture to draw; adding a field here is all it takes to accept it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    prompt: Annotated[str, StringConstraints(max_length=4000, pattern=r"\S"), Legible] = Field(
        description="what to draw"
    )
    negative_prompt: Text | None = Field(None, description="what to keep out of the picture")
    width: Side | None = Field(None, description="pixels; left out, the model's own size")
    height: Side | None = Field(None, description="pixels; left out, the model's own size")
    num_inference_steps: int = Field(30, ge=1, le=150, description="denoising steps")
    guidance_scale: float = Field(5.0, ge=0, le=30, allow_inf_nan=False, description="how closely to follow the prompt")
    seed: int | None = Field(None, ge=0, lt=2**64, description="left out, derived from the request's key")
    num_images: int = Field(1, ge=1, le=16, description="pictures, each with its own seed")
    scheduler: Scheduler | None = Field(None, description="left out, the model's own")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong, where it is wrong, in words for the person who wrote it."""

    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message


def sentence(faults: Sequence[Fault]) -> str:
    """The first few faults in one line: all of them are told beside it, and twice they might burst 64 KiB."""
    first = "; ".join(map(str, faults[:FIRST_FAULTS]))
    return first if len(faults) <= FIRST_FAULTS else f"{first}; and {len(faults) - FIRST_FAULTS} more"


class InvalidPrompt(ValueError):
    """The prompt cannot be drawn; `faults` lists everything that is wrong with it."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__(sentence(faults))
        self.faults = tuple(faults)


def validate(received: object) -> Prompt:
    """The prompt in `received`, a decoded JSON value, or `InvalidPrompt` with all its faults at once."""
    if not isinstance(received, dict):
        raise InvalidPrompt([Fault("", 'a prompt is a JSON object such as {"prompt": "a red star"}')])
    try:
        return Prompt.model_validate(received)
    except ValidationError as error:
        # `include_input` stays off: nothing that was sent is repeated to others.
        rows = error.errors(include_url=False, include_context=True, include_input=False)
        raise InvalidPrompt([_fault(row["loc"], row["type"], row["msg"]) for row in rows[:MAX_FAULTS]]) from None


def faults_of(received: object) -> tuple[Fault, ...]:
    """Everything that keeps `received`, a decoded JSON value, from being a prompt."""
    try:
        validate(received)
    except InvalidPrompt as invalid:
        return invalid.faults
    return ()


def _fault(loc: tuple[int | str, ...], kind: str, message: str) -> Fault:
    where = ".".join(str(part) for part in loc)[:100]
    if kind == "extra_forbidden":
        message = f"there is no such field; there are {', '.join(Prompt.model_fields)}"
    elif kind == "string_pattern_mismatch":
        message = "must not be empty"
    elif kind == "missing":
        message = "is missing"
    elif kind == "string_unicode":
        where, message = where or "a field's name", "is no text, it holds half of a surrogate pair"
    return Fault(where, re.sub("^(Input|String) should", "must", message.removeprefix("Value error, ")))


def canonical(received: object) -> bytes:
    """The one spelling of a JSON value that is hashed: sorted keys, no spaces, UTF-8, defaults not filled in."""
    text = json.dumps(received, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8", "surrogatepass")


def prompt_hash(received: object) -> str:
    """The sha256, in hex, by which two prompts under one key are told apart."""
    return hashlib.sha256(canonical(received)).hexdigest()
