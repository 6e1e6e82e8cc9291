"""What a dialect can find in a message."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from events.request import ObjectRef, Request


@dataclass(frozen=True, slots=True)
class Prompted:
    """The message is one request as it is."""

    request: Request


@dataclass(frozen=True, slots=True)
class Carried:
    """The message itself carries what a prompt file would hold: a JSON value, one prompt or several."""

    source: str
    id: str
    received: object
    context: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Dropped:
    """Objects were created that may hold prompts."""

    objects: tuple[ObjectRef, ...]


@dataclass(frozen=True, slots=True)
class Nothing:
    """There is nothing to do, and why."""

    reason: str


Found = Prompted | Carried | Dropped | Nothing
