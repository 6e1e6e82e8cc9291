"""Writes the published schemas beside the code that they are made from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from events.contract.asyncapi import asyncapi
from events.contract.schemas import json_schemas

FOLDER: Final = Path(__file__).parents[1] / "schemas"


def documents() -> dict[str, str]:
    """The text of every file in `events/schemas`, by its name."""
    every = json_schemas() | {"asyncapi.json": asyncapi()}
    return {name: json.dumps(document, indent=2, ensure_ascii=False) + "\n" for name, document in every.items()}


if __name__ == "__main__":
    for name, text in documents().items():
        (FOLDER / name).write_text(text, "utf-8")
