"""A watch over every Python process of the suite and the suite itself: `sitecustomize.py` notes what it sees."""

from __future__ import annotations

from pathlib import Path
from typing import Final

# What PYTHONPATH must lead to.
WATCH: Final = Path(__file__).parent


def foreign_connections(log: Path) -> list[str]:
    """A line of JSON for each connection, or name looked up, outside this machine, with the program that asked."""
    return log.read_text().splitlines() if log.exists() else []


def written_files(log: Path) -> list[str]:
    """The path of each file that was opened to be written, and of each folder that was made."""
    return log.read_text().splitlines() if log.exists() else []
