"""The expander: from a prompt file to one `image.requested` per prompt that has no record yet."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import nullcontext
from dataclasses import replace

import structlog

from events import IMAGE_REQUESTED
from events.asking import Batch, requested
from events.dialects import Carried
from events.prompt import faults_of
from events.request import ObjectRef, Request, key_of
from function.bucket.files import Asked, PromptFile, PromptFiles
from function.errors import Draining, PromptMismatch
from function.health import State
from function.ledger.settling import Settling
from function.metrics import Metrics
from function.slots import Slots
from function.store import ObjectStore
from function.telling import progress
from function.telling.sink import Sink

log = structlog.get_logger()


class Expander:
    """Publishes requests to the sink, at most `at_once` at a time, of as many files as there are `slots`.

    What it could not finish raises; repeated, it starts again, skips what is recorded and publishes nothing different.
    """

    def __init__(
        self,
        *,
        files: PromptFiles,
        settling: Settling,
        sink: Sink,
        store: ObjectStore,
        metrics: Metrics,
        slots: Slots,
        at_once: int,
    ) -> None:
        self._files = files
        self._settling = settling
        self._sink = sink
        self._store = store
        self._metrics = metrics
        self._slots = slots
        self._at_once = at_once
        self._threads = ThreadPoolExecutor(at_once, "publish")

    def file(self, ref: ObjectRef, context: Mapping[str, str]) -> None:
        """Publish what the dropped file asks for, and note how far it has come; `Busy` while other files are read."""
        as_read = self._files.identify(ref)
        before = progress.read(self._store, as_read or ref)
        if before is not None and before.done:
            log.info("file.done_before", bucket=ref.bucket, prompts=before.count)
            return
        with self._slots.take():
            file = self._files.read(ref) if as_read else None
            if file is not None:
                self._publish_file(file, context)
            elif ref.identified and (before is None or not before.count):
                # What was published is told by whoever draws it; unidentified, nobody can say which content is gone.
                self._settling.miss(ref)

    def _publish_file(self, file: PromptFile, context: Mapping[str, str]) -> None:
        settled = self._publish(file, Batch(file.ref.file_key, len(file)), context)
        progress.write(self._store, file.ref, len(file), done=settled == len(file))
        log.info("file.published", bucket=file.ref.bucket, prompts=len(file), settled=settled)

    def carried(self, found: Carried) -> None:
        """Publish what the message itself carries."""
        prompts = self._files.carried(found)
        # One prompt is no work that another would have to wait for.
        with self._slots.take() if len(prompts) > 1 else nullcontext():
            context = found.context if len(prompts) == 1 else without_partition(found.context)
            self._publish(prompts, Batch(key_of(found.source, found.id), len(prompts)), context)

    def request(self, request: Request) -> None:
        """Publish a request that came as it is, unless it is invalid."""
        self._publish([Asked.of(request, faults_of(request.received))], Batch(request.key, 1), request.context)

    def _publish(self, every: Iterable[Asked], batch: Batch, context: Mapping[str, str]) -> int:
        """How many of them have a record by now."""
        settled = 0
        running: deque[Future[bool]] = deque()
        try:
            for one in every:
                if self._settling.health.state is not State.READY:
                    raise Draining
                if len(running) == self._at_once:
                    settled += running.popleft().result()
                running.append(self._threads.submit(self._publish_one, one, batch, context))
            while running:
                settled += running.popleft().result()
        finally:
            for future in running:
                future.cancel()
            wait(running)
        return settled

    def _publish_one(self, asked: Asked, batch: Batch, context: Mapping[str, str]) -> bool:
        """Whether the request has a record."""
        request = replace(asked.request, context=context)
        try:
            outcome = self._settling.ledger.outcome(request)
        except PromptMismatch as mismatch:
            failure = self._settling.failed(request, mismatch)
            self._settling(request, lambda: failure)
            return True
        if outcome is None and asked.refusal is not None:
            self._settling.refuse(request, asked.refusal)
            return True
        if outcome is None:
            self._sink.tell(requested(request, batch))
            self._metrics.published.labels(IMAGE_REQUESTED).inc()
            return False
        self._settling.telling.leave_result(request, outcome)
        return True


def without_partition(context: Mapping[str, str]) -> dict[str, str]:
    """The context without its partition key, so that the prompts of one message need not wait for each other."""
    return {name: value for name, value in context.items() if name != "partitionkey"}
