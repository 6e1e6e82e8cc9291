"""Settling: a request gets its one outcome, which is recorded, counted, and told at every delivery."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import structlog

from events.outcome import Outcome, failed
from events.request import ObjectRef, Request, from_object
from function.errors import Failed, InvalidFile, InvalidRequest, Lacking, ObjectGone, PromptMismatch
from function.health import Health
from function.ledger import Ledger
from function.metrics import Metrics
from function.telling import Telling

log = structlog.get_logger()


class Settling:
    """What rendering and intake have in common: outcomes that need no render, and how every outcome is told."""

    def __init__(self, *, ledger: Ledger, telling: Telling, health: Health, metrics: Metrics, source: str) -> None:
        self.ledger = ledger
        self.telling = telling
        self.health = health
        self.source = source
        self._metrics = metrics

    def __call__(self, request: Request, settle: Callable[[], Outcome]) -> dict[str, Any] | None:
        """Tell what `settle` finds or makes of `request`; the event to reply with, None if a sink has it."""
        event = self.tell(request, settle)
        return None if self.telling.by_sink else event

    def tell(self, request: Request, settle: Callable[[], Outcome]) -> dict[str, Any]:
        """The same, and the event even where a sink has it."""
        with self.health.work():
            try:
                outcome = settle()
            except PromptMismatch as mismatch:
                outcome = self.failed(request, mismatch)
            except Lacking as lacking:
                # No outcome, for it may be installed later; but whoever dropped the file looks for why there is none.
                self.telling.leave_result(request, failed(request, self.source, "lacking", str(lacking)))
                raise
            self._metrics.outcomes.labels(outcome.code or "completed").inc()
            log.info("outcome", key=request.key, id=request.id, code=outcome.code or "completed")
            return self.telling.tell(request, outcome)

    def refuse(self, request: Request, failure: InvalidRequest | InvalidFile) -> dict[str, Any] | None:
        """Record and tell that `request`, or the file that it stands for, cannot be read."""
        return self(request, lambda: self.ledger.outcome(request) or self.invalid(request, failure))

    def miss(self, ref: ObjectRef) -> dict[str, Any] | None:
        """Tell what became of a file that is gone: what is recorded, or that it was gone before it was read."""
        request = from_object(ref, 0, None)
        return self(request, lambda: self.ledger.gone(request) or self.failed(request, ObjectGone()))

    def invalid(self, request: Request, failure: InvalidRequest | InvalidFile) -> Outcome:
        return self.ledger.commit_unclaimed(request, self.failed(request, failure))

    def failed(self, request: Request, failure: Failed) -> Outcome:
        return failed(request, self.source, failure.code, str(failure), failure.faults)
