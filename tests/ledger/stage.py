"""Where the ledger's scenarios play: a store, a kind of ledger, and power over the store's time and answers."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final, Literal

from events.outcome import Outcome, completed
from events.request import ObjectRef, Request
from function.errors import DarkroomError, InProgress
from function.ledger import Attempt, Claim, Ledger
from function.store import ObjectStore
from tests.fakes import Clock, MemoryStore

LONG: Final = 3600.0


@dataclass(frozen=True)
class Stage:
    """`elapse` lets more than so many seconds of the store's time pass.

    `answer_lost` gives the same bucket through a client whose next PUT is done, not heard of, and repeated.
    `patience` is how many seconds a scenario waits for what must come.
    """

    store: ObjectStore
    elapse: Callable[[float], None]
    answer_lost: Callable[[], AbstractContextManager[ObjectStore]]
    patience: float = 60
    kind: type[Ledger] = Ledger

    def ledger(
        self,
        *,
        lease: float = LONG,
        beat: float = LONG,
        told_by: Literal["reply", "sink"] = "reply",
        store: ObjectStore | None = None,
    ) -> Ledger:
        """A ledger as one process has it; its attempts are silent unless `beat` says otherwise."""
        return self.kind(store or self.store, lease=lease, beat=beat, told_by=told_by)


def memory_stage(store: MemoryStore, clock: Clock, kind: type[Ledger] = Ledger) -> Stage:
    """A stage in memory, whose clock stands still but when time is to pass."""

    @contextmanager
    def answer_lost() -> Iterator[ObjectStore]:
        store.lose_answers(1, None)
        yield store

    return Stage(store, lambda seconds: clock.move(seconds + 1), answer_lost, patience=2, kind=kind)


def new_request(prompt: str = "a red star", id: str | None = None) -> Request:
    """A request that no other scenario has; with an `id`, that of an earlier one."""
    ref = ObjectRef("prompts", "cats/réd.json", etag="0" * 32)
    return Request("s3://prompts", id or uuid.uuid4().hex, {"prompt": prompt}, ref, 3, {"traceparent": "00-1"})


def drawn(request: Request, seconds: float = 1.0) -> Outcome:
    """An outcome of `request`; of two, each can be told by its `seconds`."""
    prompt = {"prompt": "ein Stern, grün", "width": 64, "height": 64, "seed": 7, "scheduler": "EulerDiscreteScheduler"}
    # What JSON can name and UTF-8 cannot hold has to come back, too.
    model = {"name": "ein Stern, grün \ud800", "revision": None}
    return completed(request, "/darkroom", [], prompt, model, {"render": seconds}, software={}, device="cpu")


def attempts(stage: Stage, request: Request) -> list[Attempt]:
    return list(stage.ledger().attempts(request.key))


@contextmanager
def held(ledger: Ledger, request: Request) -> Iterator[Claim]:
    """A claim that the ledger has to grant."""
    with ExitStack() as stack:
        try:
            claim = stack.enter_context(ledger.claim(request))
        except InProgress:
            raise AssertionError("the ledger granted no claim") from None
        yield claim


@contextmanager
def refused(error: type[DarkroomError]) -> Iterator[None]:
    """What must end with `error`; an AssertionError, which `pytest.raises` does not give, if it does not."""
    try:
        yield
    except error:
        return
    except DarkroomError as another:
        raise AssertionError(f"{type(another).__name__} instead of {error.__name__}") from another
    raise AssertionError(f"nothing raised {error.__name__}")


def end_with(ledger: Ledger, request: Request, error: Exception) -> Claim:
    """An attempt that ends with `error`."""
    try:
        with held(ledger, request) as claim:
            raise error
    except type(error):
        return claim
