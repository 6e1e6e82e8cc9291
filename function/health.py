"""The process's health, and the work in it that a shutdown waits for.

STARTING ──loaded──► READY ──drain──► DRAINING
    └───────────lost──┴──lost──► DEFUNCT
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Final

from function.errors import Draining, GpuLost, Starting

# Seconds of a shutdown's grace, a quarter of it at most, that are left to work that is given up, for saying so.
FAREWELL: Final = 5.0


class State(Enum):
    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    DEFUNCT = "defunct"


class Health:
    """One state, read by the probes, and a count of the work that a shutdown waits for, at most `grace` seconds."""

    def __init__(self, grace: float = math.inf) -> None:
        self.grace = grace
        self._give_up_at = math.inf
        self._state = State.STARTING
        self._working = 0
        self._changed = threading.Condition()

    @property
    def state(self) -> State:
        return self._state

    def loaded(self) -> None:
        """The model is warm: requests are welcome, unless a shutdown came first."""
        with self._changed:
            if self._state is State.STARTING:
                self._state = State.READY
                self._changed.notify_all()

    def drain(self) -> None:
        """Refuse new work from now on."""
        with self._changed:
            if self._state not in (State.DRAINING, State.DEFUNCT):
                self._state = State.DRAINING
                self._give_up_at = time.monotonic() + self.grace - min(FAREWELL, self.grace / 4)
                self._changed.notify_all()

    def check_grace(self) -> None:
        """`Draining` when running work has to be given up, so that another process may take it over at once."""
        if time.monotonic() > self._give_up_at:
            raise Draining

    def check_gpu(self) -> None:
        """`GpuLost` once nothing can be rendered in this process any more."""
        if self._state is State.DEFUNCT:
            raise GpuLost

    def lost(self) -> None:
        """Nothing can be rendered in this process any more."""
        with self._changed:
            self._state = State.DEFUNCT
            self._changed.notify_all()

    @contextmanager
    def work(self) -> Iterator[None]:
        """Do a piece of work that a shutdown waits for; refuses it unless the state is READY."""
        with self._changed:
            match self._state:
                case State.STARTING:
                    raise Starting
                case State.DRAINING:
                    raise Draining
                case State.DEFUNCT:
                    raise GpuLost
            self._working += 1
        try:
            yield
        finally:
            with self._changed:
                self._working -= 1
                self._changed.notify_all()

    def wait_ready(self) -> bool:
        """Block until the state is no longer STARTING; True if it is READY."""
        with self._changed:
            self._changed.wait_for(lambda: self._state is not State.STARTING)
            return self._state is State.READY

    def wait_over(self) -> None:
        """Block until the process has to go: draining or defunct."""
        with self._changed:
            # In turns: a signal that another thread was given wakes nobody, and its handler runs when this one does.
            while not self._changed.wait_for(lambda: self._state in (State.DRAINING, State.DEFUNCT), timeout=1):
                pass

    def wait_idle(self, seconds: float) -> bool:
        """Block until nothing is being worked on, for at most `seconds`; whether that came true."""
        deadline = time.monotonic() + seconds
        with self._changed:
            return self._changed.wait_for(lambda: self._working == 0, deadline - time.monotonic())
