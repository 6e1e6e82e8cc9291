"""Fakes that keep the same promises as the real adapters: the contract tests hold for both."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from function.errors import SinkDown, StoreDown
from function.store import JSON, LONGEST_URL, Listed, Stored
from tests.contract.validate import validated


class Clock:
    """A store's clock that stands still until a test moves it."""

    def __init__(self, start: datetime | None = None) -> None:
        self.time = start or datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.time

    def move(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


class MemoryStore:
    """An `ObjectStore` in memory, which dates objects in whole seconds by `clock` as S3 does."""

    def __init__(
        self, bucket: str = "memory", clock: Callable[[], datetime] | None = None, *, versioned: bool = False
    ) -> None:
        self.bucket = bucket
        self._clock = clock or (lambda: datetime.now(UTC))
        self._versioned = versioned
        self._lock = threading.Lock()
        self._objects: dict[str, Stored] = {}
        self._versions: dict[tuple[str, str], Stored] = {}
        self._to_fail = 0
        self._failure: Exception = StoreDown()
        self._to_lose = 0
        self._lost: Exception | None = None

    def fail_next(self, count: int, error: Exception) -> None:
        """Make the next `count` calls raise `error` and do nothing else; negative: every call from now on."""
        with self._lock:
            self._to_fail, self._failure = count, error

    def lose_answers(self, count: int, error: Exception | None) -> None:
        """Make the next `count` calls of `create` or `write` that store something raise `error` after they did.

        With None the client has repeated its PUT by itself, and a `create` has met its own object.
        """
        with self._lock:
            self._to_lose, self._lost = count, error

    def create(
        self, key: str, body: bytes, content_type: str = JSON, metadata: Mapping[str, str] | None = None
    ) -> bool:
        del content_type
        with self._call():
            if key in self._objects:
                return False
            self._put(key, body, metadata or {})
            return not self._loses_answer()

    def write(self, key: str, body: bytes, content_type: str = JSON) -> None:
        del content_type
        with self._call():
            self._put(key, body, {})
            self._loses_answer()

    def read(self, key: str, version: str | None = None, limit: int | None = None) -> Stored | None:
        with self._call():
            stored = self._versions.get((key, version)) if version else self._objects.get(key)
            now = self._now()
        if stored is None:
            return None
        return Stored(stored.body[:limit], stored.etag, stored.version, stored.modified, now, stored.metadata)

    def list(self, prefix: str) -> Iterator[Listed]:
        with self._call():
            found = [(key, self._objects[key]) for key in sorted(self._objects) if key.startswith(prefix)]
        for key, stored in found:
            yield Listed(key, stored.etag, len(stored.body), stored.modified)

    def delete(self, key: str) -> None:
        with self._call():
            self._objects.pop(key, None)

    def presigned_url(self, key: str, seconds: int) -> tuple[str, int]:
        return f"memory://{self.bucket}/{quote(key)}", min(seconds, LONGEST_URL)

    def _call(self) -> threading.Lock:
        """The lock that every call holds, unless the call is to fail."""
        with self._lock:
            if self._to_fail:
                self._to_fail -= 1
                raise self._failure
        return self._lock

    def _put(self, key: str, body: bytes, metadata: Mapping[str, str]) -> None:
        etag = hashlib.md5(body, usedforsecurity=False).hexdigest()
        version = f"v{len(self._versions)}" if self._versioned else None
        now = self._now()
        # S3 keeps the names of metadata in lower case.
        stored = Stored(body, etag, version, now, now, {name.lower(): value for name, value in metadata.items()})
        self._objects[key] = stored
        if version:
            self._versions[key, version] = stored

    def _loses_answer(self) -> bool:
        if not self._to_lose:
            return False
        self._to_lose -= 1
        if self._lost:
            raise self._lost
        return True

    def _now(self) -> datetime:
        return self._clock().replace(microsecond=0)


class RecordingSink:
    """A `Sink` that keeps what it is told, or is down."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.down = False

    def tell(self, event: Mapping[str, Any]) -> None:
        if self.down:
            raise SinkDown("the sink does not answer")
        self.told.append(validated(dict(event)))
