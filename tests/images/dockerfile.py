"""The Dockerfile as a list of instructions, by stage."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
TARGETS: Final = ("intake", "render", "render-demo", "minio")


@dataclass
class Stage:
    """What one FROM begins: the stage or image below it, and its instructions in order."""

    below: str
    name: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def all(self, word: str) -> list[str]:
        return [text for given, text in self.instructions if given == word]


def stages() -> dict[str, Stage]:
    """Every stage by its name; what is before the first is the stage with no name."""
    lines = [line for line in (ROOT / "Dockerfile").read_text("utf-8").splitlines() if not line.startswith("#")]
    found = {"": Stage("", "")}
    now = found[""]
    for line in filter(None, re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines()):
        word, _, text = line.partition(" ")
        if word == "FROM":
            below, name = re.fullmatch(r"(\S+) AS (\S+)", text).groups()  # type: ignore[union-attr]
            now = found[name] = Stage(below, name)
        else:
            now.instructions.append((word, text.strip()))
    return found


def whole(name: str) -> Stage:
    """A stage with all that lies below it in this file."""
    every = stages()
    stage = every[name]
    if stage.below not in every:
        return stage
    below = whole(stage.below)
    return Stage(below.below, name, below.instructions + stage.instructions)
