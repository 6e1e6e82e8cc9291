"""Prompt files: from the bytes of a dropped object to the prompts in it."""

from __future__ import annotations

from collections.abc import Sequence

from events.envelope import decode_json
from events.prompt import Fault


class InvalidPromptFile(ValueError):
    """The file as a whole cannot be read; `faults` says why."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(map(str, faults)))
        self.faults = tuple(faults)


def read(name: str, body: bytes) -> list[object]:
    """The prompts as received, in order: a JSON object is one prompt, a JSON list is several.

    Each is validated on its own later, so that one bad prompt does not stop the good ones.
    """
    if not name.lower().endswith(".json"):
        raise InvalidPromptFile([Fault("", "a prompt file is JSON and its name ends in .json")])
    try:
        received = decode_json(body)
    except ValueError as error:
        raise InvalidPromptFile([Fault("", f"the file is not JSON: {error}")]) from None
    if not isinstance(received, list):
        return [received]
    if not received:
        raise InvalidPromptFile([Fault("", "the file's list holds no prompt")])
    return received
