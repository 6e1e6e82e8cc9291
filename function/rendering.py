"""The main story: from a request to its outcome, told."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import structlog

from events.outcome import Outcome, completed, failed
from events.prompt import InvalidPrompt, Prompt, validate
from events.request import ObjectRef, Request, from_object
from function.errors import (
    AttemptsExhausted,
    Failed,
    GpuLost,
    InvalidFile,
    InvalidRequest,
    ObjectGone,
    PromptMismatch,
    RenderLimitExceeded,
)
from function.health import Health
from function.images import Images
from function.ledger import Claim, Ledger
from function.metrics import Metrics
from function.render import Renderer
from function.slots import Slots
from function.telling import Telling

log = structlog.get_logger()


class Darkroom:
    """Takes a request, sees to it that it is rendered once, and tells its outcome at every delivery."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        slots: Slots,
        renderer: Renderer,
        images: Images,
        telling: Telling,
        health: Health,
        metrics: Metrics,
        source: str,
        render_limit: float,
    ) -> None:
        self._ledger = ledger
        self._slots = slots
        self._renderer = renderer
        self._images = images
        self._telling = telling
        self._health = health
        self._metrics = metrics
        self._source = source
        self._render_limit = render_limit

    def __call__(self, request: Request) -> dict[str, Any] | None:
        """Render `request` unless it has an outcome, and tell that; the event to reply with, None if a sink has it."""
        return self._tell(request, lambda: self._ledger.outcome(request) or self._render(request))

    def refuse(self, request: Request, failure: InvalidFile) -> dict[str, Any] | None:
        """Record and tell that the file which `request` stands for cannot be read."""
        return self._tell(request, lambda: self._ledger.outcome(request) or self._invalid(request, failure))

    def miss(self, ref: ObjectRef) -> dict[str, Any] | None:
        """Tell what became of a file that is gone: what is recorded, or that it was gone before it was read."""
        request = from_object(ref, 0, None)
        return self._tell(request, lambda: self._ledger.gone(request) or self._failed(request, ObjectGone()))

    def _tell(self, request: Request, settle: Callable[[], Outcome]) -> dict[str, Any] | None:
        with self._health.work():
            try:
                outcome = settle()
            except PromptMismatch as mismatch:
                outcome = self._failed(request, mismatch)
            self._metrics.outcomes.labels(outcome.code or "completed").inc()
            log.info("outcome", key=request.key, id=request.id, code=outcome.code or "completed")
            return self._telling(request, outcome)

    def _render(self, request: Request) -> Outcome:
        try:
            prompt = validate(request.received)
        except InvalidPrompt as invalid:
            return self._invalid(request, InvalidRequest(str(invalid), invalid.faults))
        with self._slots.take(), self._ledger.claim(request) as claim:
            return claim.found or claim.commit(self._develop(request, prompt, claim))

    def _invalid(self, request: Request, failure: InvalidRequest | InvalidFile) -> Outcome:
        return self._ledger.commit_unclaimed(request, self._failed(request, failure))

    def _develop(self, request: Request, prompt: Prompt, claim: Claim) -> Outcome:
        try:
            if claim.exhausted:
                raise AttemptsExhausted
            self._metrics.renders.inc()
            seed = request.seed if prompt.seed is None else prompt.seed
            rendering = self._renderer.render(prompt, seed, self._within(self._render_limit))
            model = self._renderer.model
            images = [self._images.keep(request, i, p, model) for i, p in enumerate(rendering.pictures)]
        except PromptMismatch:
            raise
        except GpuLost:
            self._health.lost()
            raise
        except Failed as failure:
            return self._failed(request, failure)
        named = {"name": model.name, "revision": model.revision}
        return completed(request, self._source, images, rendering.prompt, named, rendering.timings)

    def _within(self, seconds: float) -> Callable[[], None]:
        deadline = time.monotonic() + seconds

        def check() -> None:
            if time.monotonic() > deadline:
                raise RenderLimitExceeded(f"the render took longer than {seconds:g} s; ask for fewer steps")

        return check

    def _failed(self, request: Request, failure: Failed) -> Outcome:
        return failed(request, self._source, failure.code, str(failure), failure.faults)
