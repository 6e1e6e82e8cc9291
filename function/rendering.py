"""The main story: from a request to its outcome, told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol, TypeVar

import structlog

from events.outcome import Outcome, completed
from events.prompt import InvalidPrompt, Prompt, validate
from events.request import Request
from function.bucket.files import Asked
from function.bucket.images import Images
from function.bucket.inputs import Inputs
from function.bucket.keeping import Keeping
from function.errors import (
    AttemptsExhausted,
    Expired,
    Failed,
    GpuLost,
    InvalidRequest,
    PromptMismatch,
    RenderLimitExceeded,
)
from function.finish import Finish, Origin
from function.ledger import Claim
from function.ledger.settling import Settling
from function.metrics import Metrics
from function.render import Renderer
from function.slots import Slots
from function.store.patience import patiently

log = structlog.get_logger()

T = TypeVar("T")


class Kept(Protocol):
    """Does what the store is asked for, with patience."""

    def __call__(self, call: Callable[[], T]) -> T: ...


class Darkroom:
    """Takes a request, sees to it that it is rendered once, and tells its outcome at every delivery."""

    def __init__(
        self,
        *,
        settling: Settling,
        slots: Slots,
        renderer: Renderer,
        finish: Finish,
        images: Images,
        metrics: Metrics,
        render_limit: float,
        store_patience: float,
        keeping: Keeping,
        inputs: Inputs,
    ) -> None:
        self.settling = settling
        self._ledger = settling.ledger
        self._slots = slots
        self._renderer = renderer
        self._finish = finish
        self._images = images
        self._metrics = metrics
        self._render_limit = render_limit
        self._store_patience = store_patience
        self._keeping = keeping
        self._inputs = inputs

    def __call__(self, request: Request) -> dict[str, Any] | None:
        """Render `request` unless it has an outcome, and tell that; the event to reply with, None if a sink has it."""
        return self.settling(request, lambda: self._settle(request))

    def answer(self, request: Request) -> dict[str, Any]:
        """The same for a sender who waits for the outcome, and has it even where a sink has it, too."""
        return self.settling.tell(request, lambda: self._settle(request))

    def take(self, asked: Asked) -> dict[str, Any] | None:
        """Render what was asked for, or record and tell why it cannot be; the event to reply with, as above."""
        return self.settling.refuse(asked.request, asked.refusal) if asked.refusal else self(asked.request)

    def _settle(self, request: Request) -> Outcome:
        return self._ledger.outcome(request) or self._render(request)

    def _render(self, request: Request) -> Outcome:
        try:
            prompt = validate(request.received)
        except InvalidPrompt as invalid:
            return self.settling.invalid(request, InvalidRequest(str(invalid), invalid.faults))
        for part in (self._keeping, self._inputs, self._renderer):
            part.check(prompt)
        with self._slots.take():
            # Whoever waited for the slot may find that its last holder lost the GPU: not an attempt of this request.
            self.settling.health.check_gpu()
            self._finish.check()
            with self._ledger.claim(request) as claim:
                return claim.found or self._developed(request, prompt, claim)

    def _developed(self, request: Request, prompt: Prompt, claim: Claim) -> Outcome:
        """Render, store and record; what the store does not take at once it is offered again, within the limit."""
        deadline = time.monotonic() + self._render_limit

        def kept(call: Callable[[], T]) -> T:
            seconds = min(self._store_patience, deadline - time.monotonic())
            return patiently(call, seconds, self.settling.health.check_grace)

        outcome = self._develop(request, prompt, claim, kept)
        return kept(lambda: claim.commit(outcome))

    def _develop(self, request: Request, prompt: Prompt, claim: Claim, kept: Kept) -> Outcome:
        try:
            if claim.exhausted:
                raise AttemptsExhausted
            if request.expires and request.expires <= datetime.now(UTC):
                raise Expired
            prompt, sources = self._inputs.read(prompt)
            self._metrics.renders.inc()
            seed = request.seed if prompt.seed is None else prompt.seed
            with self._watched():
                rendering = self._renderer.render(prompt, seed, self._within(self._render_limit), sources)
            began = time.perf_counter()
            model = self._renderer.model
            adapters = [asdict(adapter) for adapter in rendering.adapters]
            origin = Origin(request.key, rendering.prompt, model, rendering.software, adapters)
            finished = [self._finish(picture, origin, prompt.outputs) for picture in rendering.pictures]
            encoded = time.perf_counter() - began
            prefix = self._keeping.prefix(prompt)
            # The seed says which picture it is: another attempt may draw one that is missing here.
            images = [
                kept(partial(self._images.keep, request, (one.seed - seed) % 2**64, one, model, prefix))
                for one in finished
            ]
        except PromptMismatch:
            raise
        except GpuLost:
            self.settling.health.lost()
            raise
        except Failed as failure:
            return self.settling.failed(request, failure)
        return completed(
            request,
            self.settling.source,
            images,
            rendering.prompt,
            {"name": model.name, "revision": model.revision},
            {**rendering.timings, "encode": encoded},
            software=rendering.software,
            device=rendering.device,
            adapters=adapters,
            missing=[asdict(picture) for picture in rendering.missing],
            remarks=[asdict(remark) for remark in rendering.remarks],
        )

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """End the process at twice the limit: a GPU that hangs raises nothing, and its claim would beat for ever."""
        watch = threading.Timer(2 * self._render_limit, self._hung)
        watch.daemon = True
        watch.start()
        try:
            yield
        finally:
            watch.cancel()

    def _hung(self) -> None:
        log.error("render.hung", seconds=2 * self._render_limit)
        self.settling.health.lost()

    def _within(self, seconds: float) -> Callable[[], None]:
        deadline = time.monotonic() + seconds

        def check() -> None:
            self.settling.health.check_grace()
            if time.monotonic() > deadline:
                raise RenderLimitExceeded(f"the render took longer than {seconds:g} s; ask for fewer steps")

        return check
