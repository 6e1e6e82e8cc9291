"""Prompt files: from the bytes of a dropped object to the prompts in it."""

from __future__ import annotations

from events.promptfile.entries import DEFAULTS, Entries, Limits
from events.promptfile.reading import expand, read
from events.promptfile.template import Entry
from events.promptfile.written import InvalidPromptFile

__all__ = ["DEFAULTS", "Entries", "Entry", "InvalidPromptFile", "Limits", "expand", "read"]
