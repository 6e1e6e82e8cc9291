"""Attempts: how a claim object stands for whoever comes next, and how its owner keeps it alive and ends it.

state      what the claim says                        what it means for the next comer
RUNNING    no end, and was written within the lease   wait: 409
COMMITTED  ended: committed                           there is a record, unless an operator deleted it
SPARED     ended: StoreDown, …  counts: false         try again: that was nothing the request is to blame for
SPENT      ended: GpuLost, …  counts: true            try again: one of the three is used up
DEAD       no end, and has been silent for longer     the same
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

import structlog

from events.envelope import encode_json
from function import layout
from function.errors import StoreDown
from function.ledger.records import json_object
from function.store import ObjectStore, Stored

COMMITTED: Final = "committed"
CRASHED: Final = "crashed"
# Beats in which an owner goes on trying to say how its attempt ended: an hour with the default lease, longer than most
# outages.
END_TRIES: Final = 360
# Looks, a beat apart, at a claim that is not there but may still be created: a store that stalls works off what it was
# sent.
LOOKS: Final = 7

log = structlog.get_logger()


class State(Enum):
    """How an attempt stands; the value is the word for it."""

    RUNNING = "running"
    COMMITTED = "committed"
    SPARED = "spared"
    SPENT = "spent"
    DEAD = "died"

    @property
    def counts(self) -> bool:
        """Whether it is one of the three that a request has."""
        return self in (State.SPENT, State.DEAD)


@dataclass(frozen=True, slots=True)
class Attempt:
    """A claim as its object tells it; `ended` is the reason, None while it runs and for ever once it is dead."""

    owner: str
    prompt_hash: str
    ended: str | None
    counts: bool
    age: float

    @classmethod
    def of(cls, stored: Stored) -> Attempt:
        body = json_object(stored.body)
        return cls(
            str(body.get("owner")),
            str(body.get("prompt_hash")),
            body.get("ended"),
            bool(body.get("counts")),
            stored.age,
        )

    def state(self, lease: float) -> State:
        """How it stands when silence for longer than `lease` seconds by the store's clock is death."""
        if self.ended is None:
            return State.RUNNING if self.age <= lease else State.DEAD
        if self.ended == COMMITTED:
            return State.COMMITTED
        return State.SPENT if self.counts else State.SPARED


class Pulse:
    """The owner's hand on its claim: writes it again every `beat` seconds, and at last with how the attempt ended."""

    def __init__(
        self, store: ObjectStore, key: str, number: int, body: Mapping[str, str], *, beat: float, looks: int = LOOKS
    ) -> None:
        self._store = store
        self._key = key
        self._number = number
        self._body = body
        self._beat = beat
        self._created = True
        self._looks = looks
        self._ending: dict[str, Any] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"pulse-{key[:8]}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def end(self, reason: str, *, counts: bool) -> None:
        """Say why the attempt ended; waits a beat for the store, then goes on trying in the background."""
        self._ending = {"ended": reason, "counts": counts}
        self._over.set()
        if self._thread.ident is None:
            # There was no thread to be had.
            self._write(self._ending)
        else:
            self._thread.join(self._beat)

    def disown(self, reason: str) -> None:
        """End, uncounted and in the background, an attempt of which no answer says whether its claim was created."""
        self._created = False
        self._ending = {"ended": reason, "counts": False}
        self._over.set()
        self._thread.start()

    def _run(self) -> None:
        while not self._over.wait(self._beat):
            self._write({})
        # Without its end an attempt counts as dead, which an outage of the store must not make of it.
        for _ in range(END_TRIES):
            if self._write(self._ending):
                return
            time.sleep(self._beat)

    def _write(self, more: dict[str, Any]) -> bool:
        """Whether all is written that has to be: nothing, if the claim turns out to be another's or nobody's."""
        name = layout.claim(self._key, self._number)
        try:
            if not self._created:
                stored = self._store.read(name)
                if stored is None:
                    self._looks -= 1
                    return self._looks <= 0
                if Attempt.of(stored).owner != self._body["owner"]:
                    return True
                self._created = True
            self._store.write(name, encode_json(dict(self._body) | more))
        except StoreDown as error:
            log.warning("claim.not_written", key=self._key, attempt=self._number, error=str(error), **more)
            return False
        return True
