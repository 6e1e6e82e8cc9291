"""What the doctor says: one sentence for each thing that was looked at, and what mends it if it is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

import click

from function.config import WrongSettings
from function.errors import DarkroomError

# Unknown is what could not be looked at, skipped what does not apply here; neither is a fault of the installation.
State = Literal["ok", "wrong", "unknown", "skipped"]


# Seconds for one answer over the network; what needs longer is slow enough to be told.
ANSWER: Final = 4.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at, what was seen, and for what is wrong the command that mends it."""

    check: str
    state: State
    sentence: str
    mend: str | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that an examination looks at: what holds if all is well and, for docs/doctor.md, what mends it."""

    name: str
    holds: str
    mend: str

    def ok(self, seen: str) -> Finding:
        return Finding(self.name, "ok", seen)

    def wrong(self, seen: str, mend: str) -> Finding:
        return Finding(self.name, "wrong", seen, mend)

    def unknown(self, why: str) -> Finding:
        return Finding(self.name, "unknown", why)

    def skipped(self, why: str) -> Finding:
        return Finding(self.name, "skipped", why)


class Unseen(Exception):
    """Something could not be looked at; the message says what and why."""


def why(error: Exception) -> str:
    """Our own sentences as they are; of strangers only the kind, for theirs may hold a secret."""
    if isinstance(error, click.ClickException):
        return error.message
    if isinstance(error, ModuleNotFoundError):
        return f"{error.name} is not installed"
    return str(error) if isinstance(error, Unseen | DarkroomError | WrongSettings) else type(error).__name__


class Examination(Protocol):
    """One subject, looked at by itself: what it raises is a finding and hides no other examination."""

    @property
    def name(self) -> str: ...

    @property
    def checks(self) -> Sequence[Check]:
        """Everything that may be said about the subject, for docs/doctor.md."""

    @property
    def seconds(self) -> float:
        """How long it may take."""

    def run(self) -> Iterator[Finding]: ...


def looked_at(check: Check, look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """What is found; of what cannot be seen, why, so that the rest of an examination goes on."""
    try:
        yield from look()
    except Unseen as unseen:
        yield check.unknown(str(unseen))
    except ValueError as odd:
        # What people have written: a number that is none, JSON that breaks off.
        yield check.unknown(f"what is written there cannot be read: {why(odd)}")
