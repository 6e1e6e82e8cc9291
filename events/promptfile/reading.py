"""The formats of prompt files, told apart by the ending of the file's name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from events.envelope import decode_json
from events.prompt import Fault
from events.promptfile.entries import DEFAULTS, Entries, Limits
from events.promptfile.strict_yaml import decode_yaml
from events.promptfile.table import table_rows
from events.promptfile.written import Document, InvalidPromptFile, document_of, json_lines, text_lines


def read(name: str, body: bytes, limits: Limits = DEFAULTS) -> Entries:
    """The prompts in a file; `InvalidPromptFile` if it cannot be read as a whole."""
    _, dot, ending = name.lower().rpartition(".")
    if (format_ := FORMATS.get(dot + ending)) is None:
        raise InvalidPromptFile([Fault("", f"the name of a prompt file ends in one of {', '.join(FORMATS)}")])
    if len(body) > limits.size:
        raise InvalidPromptFile([Fault("", f"the file is larger than {limits.size} bytes; split it")])
    return Entries(format_(_decoded(body)), limits)


def expand(received: object, limits: Limits = DEFAULTS) -> Entries:
    """The prompts in a JSON value that says what a .json file would; `InvalidPromptFile` if there are none."""
    return Entries(document_of(received), limits)


def _json(text: str) -> Document:
    try:
        value = decode_json(text.encode())
    except ValueError as error:
        raise InvalidPromptFile([Fault("", f"the file is not JSON: {error}")]) from None
    return document_of(value)


def _yaml(text: str) -> Document:
    value = decode_yaml(text)
    return Document([]) if value is None else document_of(value)


FORMATS: Final[Mapping[str, Callable[[str], Document]]] = {
    ".json": _json,
    ".jsonl": lambda text: Document(json_lines(text)),
    ".yaml": _yaml,
    ".yml": _yaml,
    ".csv": lambda text: Document(table_rows(text)),
    ".txt": lambda text: Document(text_lines(text)),
}


def _decoded(body: bytes) -> str:
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        raise InvalidPromptFile([Fault(f"line {line}", "is not UTF-8; save the file as UTF-8")]) from None
    # UTF-16 and UTF-32 without a mark are UTF-8 by chance.
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise InvalidPromptFile([Fault(f"line {line}", "holds a NUL; save the file as UTF-8")])
    return text
