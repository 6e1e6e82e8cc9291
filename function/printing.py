"""Strangers' words on a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """The text as a terminal shows it and does not obey it: names of others may hold what clears a screen."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)
