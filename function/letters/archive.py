"""The archive: where dead letters are kept, so that nothing that Knative gave up on is lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import structlog
from flask import Response

from events.envelope import STRUCTURED, NotACloudEvent, encode_json, media_type
from events.request import key_of
from function import layout
from function.errors import NotAnEvent, StoreDown
from function.health import Health
from function.letters import in_json, reason
from function.store import ObjectStore

# Bytes: room for events that our doors refuse as too large, and for what a broker can carry.
MAX_LETTER: Final = 8 << 20
# Letters of one key that may come in the same microsecond; more are no coincidence but a store that does not create.
AT_ONCE: Final = 100
TICK: Final = timedelta(microseconds=1)

log = structlog.get_logger()


class Archive:
    """The door of `darkroom archive`, a dead-letter sink: each event is kept under `dead/` before it is taken."""

    def __init__(
        self, store: ObjectStore, health: Health, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._store = store
        self._health = health
        self._clock = clock

    def __call__(self, headers: Mapping[str, str], body: bytes) -> Response:
        try:
            event = in_json(headers, body)
        except NotACloudEvent as error:
            raise NotAnEvent(str(error)) from error
        with self._health.work():
            name = self._keep(event, body if media_type(headers) == STRUCTURED else encode_json(event))
        log.info("letter.kept", name=name, type=event["type"], reason=reason(event))
        return Response(status=202)

    def _keep(self, event: Mapping[str, Any], text: bytes) -> str:
        time = self._clock()
        for _ in range(AT_ONCE):
            name = layout.dead(key_of(event["source"], event["id"]), time)
            if self._store.create(name, text):
                return name
            time += TICK
        raise StoreDown("object storage says of every name that it is taken")
