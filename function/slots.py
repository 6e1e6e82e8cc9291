"""Slots: how many renders run at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from function.errors import Busy


class Slots:
    """`count` renders at once; who finds none free waits `patience` seconds, then is told `Busy`."""

    def __init__(self, count: int = 1, patience: float = 0) -> None:
        self._free = threading.BoundedSemaphore(count)
        self._patience = patience

    def patient(self, seconds: float) -> Slots:
        """The same slots for those who wait `seconds` for one."""
        same = Slots(patience=seconds)
        same._free = self._free
        return same

    @contextmanager
    def take(self) -> Iterator[None]:
        """Hold a slot."""
        if not self._free.acquire(timeout=self._patience):
            raise Busy
        try:
            yield
        finally:
            self._free.release()
