"""From a decoded JSON value to a prompt, or to all that is wrong with it at once."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import ValidationError

from events.prompt.elsewhere import ELSEWHERE
from events.prompt.fields import Prompt
from events.prompt.hashing import canonical

MAX_FAULTS: Final = 50
LISTED: Final = "the README lists them"
FIRST_FAULTS: Final = 5
# Bytes of its JSON, with its defaults: the outcome repeats it, and has 64 KiB for all.
MAX_PROMPT: Final = 24 << 10


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
        prompt = Prompt.model_validate(received)
    except ValidationError as error:
        # `include_input` stays off: nothing that was sent is repeated to others.
        rows = error.errors(include_url=False, include_context=True, include_input=False)
        raise InvalidPrompt([_fault(row["loc"], row["type"], row["msg"]) for row in rows[:MAX_FAULTS]]) from None
    if len(canonical(prompt.model_dump())) > MAX_PROMPT:
        raise InvalidPrompt([Fault("", f"is more than {MAX_PROMPT >> 10} KiB as JSON; shorten its texts")])
    return prompt


def faults_of(received: object) -> tuple[Fault, ...]:
    """Everything that keeps `received`, a decoded JSON value, from being a prompt."""
    try:
        validate(received)
    except InvalidPrompt as invalid:
        return invalid.faults
    return ()


def _fault(loc: tuple[int | str, ...], kind: str, message: str) -> Fault:
    where = ".".join(str(part) for part in loc)[:100]
    message = message.removeprefix("Value error, ")
    if kind == "value_error" and (named := re.match(r"([a-z0-9_.]+): ", message)):
        # What several fields of a group say together is told of the one that should change.
        where, message = f"{where}.{named[1]}".lstrip("."), message.removeprefix(named[0])
    if kind == "extra_forbidden":
        near = _near(loc)
        message = f"there is no such field; {f'did you mean {near}?' if near else LISTED}"
    elif kind == "string_pattern_mismatch":
        message = "must not be empty"
    elif kind == "model_type":
        message = "must be an object"
    elif kind == "missing":
        message = "is missing"
    elif kind == "string_unicode":
        where, message = where or "a field's name", "is no text, it holds half of a surrogate pair"
    return Fault(where, re.sub("^(Input|String|List) should", "must", message))


def _near(loc: tuple[int | str, ...]) -> str | None:
    """The field that somebody who wrote this one may have meant."""
    # Without the numbers of what is listed.
    name = ".".join(part for part in loc if isinstance(part, str))
    if len(loc) > 1:
        return ELSEWHERE.get(name)
    fields = {name: name for name in Prompt.model_fields} | ELSEWHERE
    near = difflib.get_close_matches(name[:100].lower(), fields, n=1, cutoff=0.8)
    return fields[near[0]] if near else None
