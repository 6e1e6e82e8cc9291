"""Histories: what is to happen to one event, drawn beforehand, and what did happen to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final, Self

from tests.crash.steps import WITH_SINK, Step, Through

SOURCE: Final = "/tests/crash"
# Seconds that the pods' clocks are off; S3's signatures allow a quarter of an hour.
OFF: Final = 600


@dataclass(frozen=True)
class History:
    """One event, and what is to happen to it; see `tests.crash.__main__`.

    In seconds: the lease, how long its first delivery is stopped, how long a render takes, by how much clocks are off.
    """

    id: str
    prompt: str
    lease: float
    lanes: int = 1
    kills: tuple[str, ...] = ()
    stop: str | None = None
    stopped: float = 0
    shifts: tuple[int, ...] = (0,)
    seconds: float = 0.1
    sink: str | None = None
    store: str = Through.__name__
    renderer: str = "drawing"

    @property
    def deadly_stop(self) -> bool:
        """Whether it is stopped for so long that it counts as dead."""
        return self.stopped > self.lease

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Self:
        return cls(**{**row, "kills": tuple(row["kills"]), "shifts": tuple(row["shifts"])})


@dataclass
class Happened:
    """What came of a history: `answers` are (status, outcome or None), `stops` seconds, `clocks_off` minutes."""

    history: History
    answers: list[tuple[int, dict[str, Any] | None]] = field(default_factory=list)
    reached: list[str] = field(default_factory=list)
    kills: int = 0
    stops: list[float] = field(default_factory=list)
    deliveries: int = 0
    clocks_off: list[int] = field(default_factory=list)

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Self:
        answers = [(status, event) for status, event in row["answers"]]
        return cls(**{**row, "history": History.read(row["history"]), "answers": answers})

    @property
    def finals(self) -> list[dict[str, Any] | None]:
        return [event for status, event in self.answers if status == 200]


def killed(
    random: Random,
    kind: str,
    number: int,
    lease: float,
    *,
    sink: str | None = None,
    most: int = 2,
    renderer: str = "drawing",
) -> History:
    """An event with up to three duplicates at once that is killed at most `most` times.

    That is at the steps in turn for one event after the other, and then at any.
    """
    steps = [step for step in Step if sink or step not in WITH_SINK]
    first = steps[number * 3 % len(steps)]
    return History(
        id=f"{kind} {number}",
        prompt=f"a picture of {kind} {number}",
        lease=lease,
        lanes=1 + random.randint(1, 3),
        kills=(first, *random.choices(steps, k=random.randint(0, most - 1))),
        seconds=random.choice([0, 0.1, 0.5]),
        sink=sink,
        renderer=renderer,
    )


def zombie(random: Random, name: str, lease: float) -> History:
    """An event whose first delivery is stopped for two leases, in which others finish it, and then goes on."""
    step = random.choice([Step.CLAIMED, Step.RENDER, Step.IMAGE, Step.KEPT, Step.RECORD])
    return stopped(name, step, lease, 2 * lease, lanes=1 + random.randint(1, 2))


def stopped(
    name: str,
    step: Step,
    lease: float,
    seconds: float,
    *,
    lanes: int = 2,
    store: type[Through] = Through,
    shift: int = 0,
) -> History:
    """An event whose first delivery is stopped at `step`; the others come then, and with other clocks."""
    return History(
        id=name,
        prompt=f"a picture of {name}",
        lease=lease,
        lanes=lanes,
        stop=step,
        stopped=seconds,
        shifts=(0, shift),
        store=store.__name__,
    )


def skewed_running(random: Random, name: str, lease: float) -> History:
    """An event whose render takes more than two leases, while others with other clocks look at it."""
    return History(name, f"a picture of {name}", lease, lanes=3, shifts=_shifts(random), seconds=2.5 * lease)


def skewed_killed(random: Random, name: str, lease: float) -> History:
    """An event whose first attempt is killed, and which pods with other clocks take over."""
    step = random.choice([Step.CLAIMED, Step.RENDER, Step.IMAGE, Step.KEPT, Step.RECORD])
    return History(name, f"a picture of {name}", lease, lanes=3, kills=(step,), shifts=_shifts(random))


def _shifts(random: Random) -> tuple[int, ...]:
    return random.choice([(0, OFF, -OFF), (OFF, 0, -OFF), (-OFF, OFF, 0)])
