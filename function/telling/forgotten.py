"""What the sweep does in front of a broker: objects whose prompts have no outcome are announced once more."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import structlog

from events.asking import dropped
from events.request import ObjectRef
from function.bucket.files import PromptFiles
from function.store import ObjectStore
from function.telling import progress
from function.telling.sink import Sink
from function.telling.sweep import Listing

log = structlog.get_logger()


class Forgotten:
    """Announces objects that nobody has read, and again what was announced or published but is not done; in seconds."""

    def __init__(
        self, files: PromptFiles, store: ObjectStore, sink: Sink, *, forgotten_after: float, republish_after: float
    ) -> None:
        self._files = files
        self._store = store
        self._sink = sink
        self._forgotten_after = timedelta(seconds=forgotten_after)
        self._republish_after = republish_after

    def __call__(self, ref: ObjectRef, listing: Listing) -> bool:
        """Whether the object is known to be done; announces it if its time is over."""
        if datetime.now(UTC) - listing[3] < self._forgotten_after:
            # Its own notification may still be on the way.
            return False
        as_read = self._files.identify(ref)
        if as_read is None:
            return False
        seen = progress.read(self._store, as_read)
        if seen is not None and (seen.done or seen.age < self._republish_after):
            return seen.done
        log.info("sweep.dropped_again", bucket=ref.bucket, published=seen is not None)
        self._sink.tell(dropped(as_read))
        # Until the broker has brought it, the next sweeps leave it alone; whoever has read it meanwhile knows better.
        now = progress.read(self._store, as_read)
        if now is None or not (now.done or now.age < self._republish_after):
            progress.write(self._store, as_read, now.count if now else 0, done=False)
        return False
