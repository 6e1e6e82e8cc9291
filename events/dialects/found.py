"""What a dialect can find in a message."""

from __future__ import annotations

from dataclasses import dataclass

from events.request import ObjectRef, Request


@dataclass(frozen=True, slots=True)
class Prompted:
    """The message is itself a request."""

    request: Request


@dataclass(frozen=True, slots=True)
class Dropped:
    """Objects were created that may hold prompts."""

    objects: tuple[ObjectRef, ...]


@dataclass(frozen=True, slots=True)
class Nothing:
    """There is nothing to do, and why."""

    reason: str


Found = Prompted | Dropped | Nothing
