"""What stands in a prompt file before it is applied: lines, or the entries of a list."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from json import JSONDecodeError
from typing import Any, Final

from events.envelope import decode_json
from events.prompt import MAX_FAULTS, Fault, sentence

SHAPE: Final = ("defaults", "prompts")


class InvalidPromptFile(ValueError):
    """The file as a whole cannot be read; `faults` says why."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__(sentence(faults))
        self.faults = tuple(faults)


@dataclass(frozen=True, slots=True)
class Written:
    """A line or an entry, where it is and what it holds: the value, or as a text what cannot be read, and why."""

    where: str
    value: object
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True)
class Document:
    """All that a file holds."""

    written: Iterable[Written]
    defaults: Mapping[str, Any] = field(default_factory=dict)


def document_of(value: object) -> Document:
    """A JSON value as a prompt file: one prompt, a list of them, or `{"defaults": {…}, "prompts": […]}`."""
    if isinstance(value, list):
        return Document(Written(f"[{index}]", each) for index, each in enumerate(value))
    if not isinstance(value, dict) or value.keys().isdisjoint(SHAPE):
        return Document([Written("", value)])
    prompts, defaults = value.get("prompts"), value.get("defaults", {})
    faults = [
        Fault(name[:100], "there is no such field beside prompts; there is defaults")
        for name in value
        if name not in SHAPE
    ]
    if not isinstance(prompts, list):
        faults.append(Fault("prompts", "must be a list of prompts"))
    if not isinstance(defaults, dict):
        faults.append(Fault("defaults", "must be an object with fields of a prompt"))
    if faults or not isinstance(prompts, list) or not isinstance(defaults, dict):
        raise InvalidPromptFile(faults[:MAX_FAULTS])
    return Document((Written(f"prompts[{index}]", each) for index, each in enumerate(prompts)), defaults)


def json_lines(text: str) -> Iterator[Written]:
    """A JSON value per line; blank lines are nothing."""
    for where, line in _lines(text):
        try:
            yield Written(where, decode_json(line.encode()))
        except ValueError as error:
            why = f"{error.msg}, column {error.colno}" if isinstance(error, JSONDecodeError) else str(error)
            yield Written(where, line, (Fault("", f"is not JSON: {why}"),))


def text_lines(text: str) -> Iterator[Written]:
    """A prompt per line; blank lines and those that begin with # are nothing."""
    return (Written(where, {"prompt": line}) for where, line in _lines(text) if not line.startswith("#"))


def _lines(text: str) -> Iterator[tuple[str, str]]:
    # Not splitlines(), for which more than a newline ends a line: a JSON text may hold such characters.
    for number, line in enumerate(text.split("\n"), 1):
        if line := line.strip():
            yield f"line {number}", line
