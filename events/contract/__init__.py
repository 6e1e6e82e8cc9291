"""The contract: what the events promise, as models; their schemas are written from them, and events built through them.

`python -m events.contract` writes the schemas.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Final

# What `darkroom schema` prints, by name.
PUBLISHED: Final = {
    "prompt": "prompt.json",
    "dropped": "prompts.dropped.json",
    "requested": "image.requested.json",
    "completed": "image.completed.json",
    "failed": "image.failed.json",
    "asyncapi": "asyncapi.json",
}


def published(name: str) -> str:
    """The text of a published schema; KeyError if there is none of this name."""
    return files("events").joinpath("schemas", PUBLISHED[name]).read_text("utf-8")
