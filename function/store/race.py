"""A race of simultaneous creates for one key, which exactly one may win."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Barrier
from typing import Final

from function.errors import StoreDown
from function.store import ObjectStore

# Seconds that a racer waits for its answer: creates that meet take some stores seconds each.
RACER_PATIENCE: Final = 30.0
# Seconds in which all racers have come to the start.
START: Final = 30.0


class NotStartedError(Exception):
    """There was no thread for a racer, which says nothing of the store."""


@dataclass(frozen=True, slots=True)
class Race:
    """What each racer was answered, and what is there since; racers create their own number."""

    answers: Sequence[bool | StoreDown]
    there: bytes | None

    @property
    def unanswered(self) -> Sequence[StoreDown]:
        return [answer for answer in self.answers if isinstance(answer, StoreDown)]

    @property
    def decided(self) -> bool:
        """Whether who has won is known, or that nobody has."""
        return self._winners > 0 or not self.unanswered

    @property
    def fault(self) -> str | None:
        """What no race may have, as far as is known for certain."""
        if self._winners > 1:
            return "several winners"
        if any(answer is False and self._is_there(racer) for racer, answer in enumerate(self.answers)):
            return "what a loser sent"
        return None if self._winners or self.unanswered else "no winner"

    @property
    def _winners(self) -> int:
        """Who was told so, and whose answer was lost and whose object is there."""
        return sum(
            answer is True or (isinstance(answer, StoreDown) and self._is_there(racer))
            for racer, answer in enumerate(self.answers)
        )

    def _is_there(self, racer: int) -> bool:
        return self.there == str(racer).encode()


def race(key: str, racers: int, stores: Sequence[ObjectStore], reader: ObjectStore, pool: ThreadPoolExecutor) -> Race:
    """Race for `key`, by several clients as several processes would, with a thread of `pool` for each racer."""
    start = Barrier(racers, timeout=START)

    def create(racer: int) -> bool | StoreDown:
        start.wait()
        try:
            return stores[racer % len(stores)].create(key, str(racer).encode())
        except StoreDown as error:
            return error

    try:
        answers = list(pool.map(create, range(racers)))
    # No thread for a racer, or those that waited for it in vain.
    except RuntimeError as error:
        start.abort()
        raise NotStartedError(f"{racers} racers could not be started at once") from error
    stored = reader.read(key)
    return Race(answers, stored.body if stored else None)
