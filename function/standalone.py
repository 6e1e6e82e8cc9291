"""Standalone: all doors in one process, for one machine without a broker.

A webhook is only a hint that spares the wait; the sweep of the buckets is the delivery.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from functools import partial
from typing import Final

import structlog
from flask import Response

from events.dialects import Dropped, read
from events.dialects.direct import plain
from events.envelope import Message, NotACloudEvent, decode_json
from events.request import ObjectRef, Request
from function.app import reply
from function.errors import Busy, DarkroomError
from function.files import PromptFiles
from function.health import Health, State
from function.rendering import Darkroom
from function.store import ObjectStore
from function.sweep import Listing, Sweep, is_done, mark_done

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

    def door(self, body: bytes, idempotency_key: str | None) -> Response:
        """Answer `POST /drop`: a webhook's objects are queued, a plain JSON prompt is rendered at once."""
        try:
            data = decode_json(body)
            found = read(Message(data))
        except (ValueError, NotACloudEvent) as error:
            log.info("drop.unreadable", error=str(error))
            return Response(status=204)
        if isinstance(found, Dropped):
            wanted = [ref for ref in found.objects if self._files.admits(ref)]
            for ref in wanted:
                self._add(ref, ref)
            return Response(status=202 if wanted else 204)
        request = plain(data, idempotency_key)
        if request is None:
            log.info("drop.nothing")
            return Response(status=204)
        return reply(self._darkroom(request), status=202)

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
        """Whether each prompt of the file has a record now; what has none waits for the next sweep."""
        file = self._files.read(ref)
        if file is None:
            if ref.identified:
                self._darkroom.miss(ref)
            return True
        if is_done(self._store, file.ref):
            return True

        def told(request: Request) -> bool:
            self._darkroom(request) if file.failure is None else self._darkroom.refuse(request, file.failure)
            return True

        # Each by itself: what goes wrong with one prompt must not keep the others waiting.
        done = [
            self._attempt(partial(told, request), bucket=ref.bucket, key=ref.key, index=request.index)
            for request in file.requests
        ]
        if all(done):
            mark_done(self._store, file.ref, len(file.requests))
        return all(done)

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
