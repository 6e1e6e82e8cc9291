"""What can go wrong between a client and its store, as data for the proxy.

A `Fault` says of which requests (by method, key prefix, share and count) and what happens to them: its `act` has the
request and the way on, and returns an answer, waits, lies, or hangs up. Several faults may meet in one request.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from email.utils import format_datetime, parsedate_to_datetime
from typing import Final

CONDITION: Final = "if-none-match"


class HangUp(Exception):
    """The connection ends without an answer."""


@dataclass(frozen=True)
class Asked:
    """A request as it came; `resign` has the proxy sign it anew, since what was signed has changed."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int
    resign: bool = False

    @property
    def key(self) -> str:
        """The object's key as the URL spells it; empty where the bucket itself is asked."""
        return self.path.partition("?")[0].lstrip("/").partition("/")[2]

    @property
    def creates(self) -> bool:
        """Whether it is a create-if-absent."""
        return self.method == "PUT" and CONDITION in self.headers

    def unconditional(self) -> Asked:
        headers = {name: value for name, value in self.headers.items() if name != CONDITION}
        return replace(self, headers=headers, resign=True)

    def look(self) -> Asked:
        """A read of what is there now."""
        return replace(self, method="GET", headers={}, body=b"", resign=True)


@dataclass(frozen=True)
class Answered:
    """An answer on its way back; of a body only `sent` bytes arrive before the connection ends, unless that is None."""

    status: int
    headers: dict[str, str]
    body: bytes
    sent: int | None = None

    @property
    def good(self) -> bool:
        return self.status < 300


Onward = Callable[[Asked], Answered]
Act = Callable[[Asked, Onward], Answered]


@dataclass(frozen=True)
class Fault:
    """`act` for requests of `method` (any if empty) to keys below `prefix`; with `creates` only for create-if-absent.

    Of those a `share` (drawn by the proxy's seed), at most `count` in all and at most `each` of every key.
    """

    act: Act
    method: str = ""
    prefix: str = ""
    share: float = 1.0
    count: int | None = None
    each: int | None = None
    creates: bool = False


def spoken(status: int, code: str) -> Answered:
    """An answer in S3's own words."""
    body = f"<Error><Code>{code}</Code><Message>as the test wants</Message></Error>".encode() if code else b""
    return Answered(status, {"Content-Type": "application/xml"}, body)


@dataclass(frozen=True)
class Answer:
    """Answers without asking the store, such as 500 InternalError or 503 SlowDown."""

    status: int
    code: str = ""

    def __call__(self, asked: Asked, onward: Onward) -> Answered:
        del asked, onward
        return spoken(self.status, self.code)


# Two creates of one key have met, and either may have won.
CONFLICT: Final = Answer(409, "ConditionalRequestConflict")


@dataclass(frozen=True)
class Disguise:
    """Gives the store's answers of status `was` out as another."""

    was: int
    status: int
    code: str = ""

    def __call__(self, asked: Asked, onward: Onward) -> Answered:
        answer = onward(asked)
        return spoken(self.status, self.code) if answer.status == self.was else answer


@dataclass(frozen=True)
class Delay:
    """Lets the store do as asked, `seconds` later."""

    seconds: float

    def __call__(self, asked: Asked, onward: Onward) -> Answered:
        time.sleep(self.seconds)
        return onward(asked)


@dataclass(frozen=True)
class Stall:
    """Silence, until `over` is set; then the store does as asked, whether or not anybody still waits for the answer."""

    over: threading.Event

    def __call__(self, asked: Asked, onward: Onward) -> Answered:
        self.over.wait()
        return onward(asked)


def hang_up(asked: Asked, onward: Onward) -> Answered:
    """The store never hears of it."""
    del asked, onward
    raise HangUp


def lose_answer(asked: Asked, onward: Onward) -> Answered:
    """The store does as asked, and nobody hears of that."""
    onward(asked)
    raise HangUp


def truncate(asked: Asked, onward: Onward) -> Answered:
    """Half of the body arrives."""
    answer = onward(asked)
    return replace(answer, sent=len(answer.body) // 2)


def ignore_condition(asked: Asked, onward: Onward) -> Answered:
    """Takes If-None-Match for a header that it need not know."""
    return onward(asked.unconditional()) if asked.creates else onward(asked)


@dataclass(frozen=True)
class LookFirst:
    """Looks whether the key is there and writes `gap` seconds later, so that of simultaneous creates all win."""

    gap: float = 0.2

    def __call__(self, asked: Asked, onward: Onward) -> Answered:
        if not asked.creates:
            return onward(asked)
        if onward(asked.look()).good:
            return spoken(412, "PreconditionFailed")
        time.sleep(self.gap)
        return onward(asked.unconditional())


@dataclass
class Stale:
    """Reads find what was there before the last write, for `seconds`; with `elsewhere` only on other connections."""

    seconds: float = 60
    elsewhere: bool = False
    _before: dict[str, tuple[float, int, Answered]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, asked: Asked, onward: Onward) -> Answered:
        if asked.method in ("PUT", "DELETE"):
            before = onward(asked.look())
            answer = onward(asked)
            if answer.good:
                with self._lock:
                    self._before[asked.path] = (time.monotonic() + self.seconds, asked.connection, before)
            return answer
        with self._lock:
            until, connection, before = self._before.get(asked.path, (0.0, 0, spoken(404, "NoSuchKey")))
        stale = time.monotonic() < until and not (self.elsewhere and connection == asked.connection)
        return before if stale else onward(asked)


def undated(asked: Asked, onward: Onward) -> Answered:
    """No answer says what time it is."""
    answer = onward(asked)
    return replace(answer, headers={name: value for name, value in answer.headers.items() if name.lower() != "date"})


@dataclass(frozen=True)
class Dated:
    """Answers are dated by a clock that is `apart` seconds from the one that dates objects."""

    apart: float

    def __call__(self, asked: Asked, onward: Onward) -> Answered:
        answer = onward(asked)
        date = parsedate_to_datetime(answer.headers["Date"]) + timedelta(seconds=self.apart)
        return replace(answer, headers=answer.headers | {"Date": format_datetime(date, usegmt=True)})


@dataclass
class Frozen:
    """Every answer has the first one's date."""

    _date: str = ""

    def __call__(self, asked: Asked, onward: Onward) -> Answered:
        answer = onward(asked)
        self._date = self._date or answer.headers["Date"]
        return replace(answer, headers=answer.headers | {"Date": self._date})
