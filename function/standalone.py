"""Standalone: all doors in one process, for one machine without a broker.

A webhook is only a hint that spares the wait; the sweep of the buckets is the delivery.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Final

import structlog
from flask import Response

from events.dialects import Carried, Dropped, Found, Prompted
from events.request import ObjectRef
from function.bucket.files import Asked, PromptFiles
from function.doors.app import reply
from function.doors.arriving import read_drop
from function.errors import Busy, DarkroomError, Lacking, WouldExpand
from function.health import Health, State
from function.rendering import Darkroom
from function.store import ObjectStore
from function.telling import progress
from function.telling.sweep import Listing, Sweep

BACKLOG: Final = 10_000

log = structlog.get_logger()

# What a file in the backlog is known by: as the sweep listed it, or as a webhook named it.
Seen = Listing | ObjectRef


class Standalone:
    """Renders the files that webhooks and sweeps bring, one after the other, in the background."""

    def __init__(self, darkroom: Darkroom, files: PromptFiles, store: ObjectStore, health: Health) -> None:
        self._darkroom = darkroom
        self._files = files
        self._store = store
        self._health = health
        self._backlog: queue.Queue[tuple[ObjectRef, Seen]] = queue.Queue(BACKLOG)
        self._lock = threading.Lock()
        self._waiting: set[Seen] = set()
        self._finished: set[Seen] = set()

    def start(self, sweep: Sweep, interval: float) -> None:
        """Begin to render, and to sweep now and every `interval` seconds; ends with the process."""
        threading.Thread(target=self._render_all, name="files", daemon=True).start()
        threading.Thread(target=self._sweep_all, args=(sweep, interval), name="sweep", daemon=True).start()

    def door(self, headers: Mapping[str, str], body: bytes) -> Response:
        """Answer `POST /drop`: files are queued; a prompt that the message itself holds is rendered at once."""
        arrivals = read_drop(headers, body)
        asked = [one for arrival in arrivals for one in self._asked(arrival.found)]
        if len(asked) > 1:
            raise WouldExpand
        named = [ref for arrival in arrivals if isinstance(arrival.found, Dropped) for ref in arrival.found.objects]
        wanted = [ref for ref in named if self._files.admits(ref)]
        for ref in wanted:
            self._add(ref, ref)
        if asked:
            return reply(self._darkroom.take(asked[0]), status=202)
        return Response(status=202 if wanted else 204)

    def _asked(self, found: Found) -> Sequence[Asked]:
        """The prompts that a message itself holds, at most two of them, which is one too many."""
        match found:
            case Prompted(request):
                return [Asked(request)]
            case Carried():
                asked = islice(self._files.carried(found), 2)
                return [replace(one, request=replace(one.request, context=found.context)) for one in asked]
        return []

    def offer(self, ref: ObjectRef, listing: Listing) -> bool:
        """Queue the object unless it is known to be done; whether it is."""
        with self._lock:
            if listing in self._finished:
                self._finished.discard(listing)
                return True
        try:
            self._add(ref, listing)
        except Busy:
            log.info("backlog.full", bucket=ref.bucket)
        return False

    def _add(self, ref: ObjectRef, seen: Seen) -> None:
        with self._lock:
            if seen in self._waiting:
                return
            try:
                self._backlog.put_nowait((ref, seen))
            except queue.Full:
                raise Busy from None
            self._waiting.add(seen)

    def _render_all(self) -> None:
        self._health.wait_ready()
        while self._health.state is State.READY:
            ref, seen = self._backlog.get()
            done = self._attempt(partial(self._render_file, ref), bucket=ref.bucket, key=ref.key)
            with self._lock:
                self._waiting.discard(seen)
                # Only a listing comes again, to be found here.
                if done and not isinstance(seen, ObjectRef):
                    self._finished.add(seen)

    def _render_file(self, ref: ObjectRef) -> bool:
        """Whether this process is done with each prompt of the file; what it is not waits for the next sweep."""
        file = self._files.read(ref)
        if file is None:
            if ref.identified:
                self._darkroom.settling.miss(ref)
            return True
        before = progress.read(self._store, file.ref)
        if before is not None and before.done:
            return True

        lacking = 0

        def taken(asked: Asked) -> bool:
            nonlocal lacking
            try:
                self._darkroom.take(asked)
            except Lacking as error:
                # Told in `results/`; another process, with other settings, tries it again.
                log.warning("file.lacking", error=str(error), key=ref.key, index=asked.request.index)
                lacking += 1
            return True

        done = True
        for asked in file:
            # Each by itself: what goes wrong with one prompt must not keep the others waiting.
            where = {"bucket": ref.bucket, "key": ref.key, "index": asked.request.index}
            done &= self._attempt(partial(taken, asked), **where)
        if done and not lacking:
            progress.write(self._store, file.ref, len(file), done=True)
        return done

    @staticmethod
    def _attempt(work: Callable[[], bool], **where: object) -> bool:
        """What `work` says, or False, logged, if it could not be done now."""
        try:
            return work()
        except DarkroomError as error:
            log.warning("file.postponed", error=str(error), **where)
        except Exception:
            log.exception("file.crashed", **where)
        return False

    @staticmethod
    def _sweep_all(sweep: Sweep, interval: float) -> None:
        never = threading.Event()
        while True:
            try:
                sweep()
            except Exception:
                log.exception("sweep.crashed")
            never.wait(interval)
