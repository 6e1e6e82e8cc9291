"""Intake: the door, which takes whatever a server says in milliseconds, and the expander's own door for CloudEvents."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import structlog
from flask import Response

from events import PROMPTS_DROPPED
from events.asking import dropped
from events.dialects import Carried, Dropped, Nothing, Prompted
from events.request import ObjectRef, context_of
from function.bucket.files import PromptFiles
from function.doors.arriving import Arrival, read_drop, read_events
from function.errors import Retry
from function.expander import Expander, without_partition
from function.health import Health
from function.metrics import Metrics
from function.telling.sink import Sink

# What only intake sets, all of it on each request that it publishes.
BATCH_ATTRIBUTES: Final = frozenset({"batchid", "batchindex", "batchsize"})

log = structlog.get_logger()

OnObject = Callable[[ObjectRef, Mapping[str, str]], None]


class Intake:
    """Both doors of `darkroom intake`; neither says yes before the sink has what the message asks for."""

    def __init__(self, *, files: PromptFiles, expander: Expander, sink: Sink, health: Health, metrics: Metrics) -> None:
        self._files = files
        self._expander = expander
        self._sink = sink
        self._health = health
        self._metrics = metrics

    def event(self, headers: Mapping[str, str], body: bytes) -> Response:
        """Answer `POST /`: the files that CloudEvents name are read, and their prompts published."""
        return self._answer(read_events(headers, body), self._expander.file)

    def drop(self, headers: Mapping[str, str], body: bytes) -> Response:
        """Answer `POST /drop`: each object is announced to the sink, and none is read."""
        return self._answer(read_drop(headers, body), self._announce)

    def _answer(self, arrivals: Sequence[Arrival], on_object: OnObject) -> Response:
        with self._health.work():
            taken = [self._take(arrival, on_object) for arrival in arrivals]
        return Response(status=202 if any(taken) else 204)

    def _take(self, arrival: Arrival, on_object: OnObject) -> bool:
        """Whether there was anything to do; done, if so."""
        message = arrival.message
        match arrival.found:
            case Nothing(reason):
                log.info("event.nothing", type=message.type, reason=reason)
                return False
            case Prompted(request):
                if message.attributes.keys() >= BATCH_ATTRIBUTES:
                    # Published by intake itself: sent on once more, it would come back for ever.
                    log.info("event.own", type=message.type)
                    return False
                self._expander.request(request)
            case Carried() as carried:
                self._expander.carried(carried)
            case Dropped(objects):
                wanted = [ref for ref in dict.fromkeys(objects) if self._files.admits(ref)]
                if not wanted:
                    log.info("event.not_admitted", type=message.type)
                    return False
                # A notification's partition key would be that of every prompt in the file.
                context = without_partition(context_of(message))
                self._each(wanted, context, on_object)
        return True

    @staticmethod
    def _each(
        wanted: Sequence[ObjectRef],
        context: Mapping[str, str],
        on_object: OnObject,
    ) -> None:
        """Every one of the objects, whatever goes wrong with another, and then the first trouble."""
        troubles = []
        for ref in wanted:
            try:
                on_object(ref, context)
            except Retry as trouble:
                log.warning("object.postponed", bucket=ref.bucket, error=str(trouble))
                troubles.append(trouble)
        if troubles:
            raise troubles[0]

    def _announce(self, ref: ObjectRef, context: Mapping[str, str]) -> None:
        self._sink.tell(dropped(ref, context))
        self._metrics.published.labels(PROMPTS_DROPPED).inc()
