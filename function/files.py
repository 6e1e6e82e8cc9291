"""Prompt files: which objects may be read, and the requests in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from events.promptfile import InvalidPromptFile, read
from events.request import ObjectRef, Request, from_object
from function import layout
from function.errors import InvalidFile
from function.store import ObjectStore


@dataclass(frozen=True, slots=True)
class PromptFile:
    """A dropped file as read: its requests, or why the file as a whole failed (told as its prompt 0)."""

    ref: ObjectRef
    requests: Sequence[Request]
    failure: InvalidFile | None = None


class PromptFiles:
    """Reads the objects of the allow-listed buckets that pass the filter."""

    def __init__(
        self, stores: Mapping[str, ObjectStore], *, image_bucket: str, prefix: str, suffix: str, limit: int
    ) -> None:
        self.stores = stores
        self.prefix = prefix
        self._image_bucket = image_bucket
        self._suffix = suffix
        self._limit = limit

    def admits(self, ref: ObjectRef) -> bool:
        """Whether the object may be a prompt file: listed bucket, filter, no folder, nothing that we wrote."""
        own = ref.bucket == self._image_bucket and ref.key.startswith(layout.OWN)
        return (
            ref.bucket in self.stores
            and ref.key.startswith(self.prefix)
            and ref.key.endswith(self._suffix)
            and not ref.key.endswith("/")
            and not own
        )

    def read(self, ref: ObjectRef) -> PromptFile | None:
        """The file as it is now, or in the version that `ref` names; None if it is gone."""
        stored = self.stores[ref.bucket].read(ref.key, ref.version, self._limit + 1)
        if stored is None:
            return None
        ref = replace(ref, version=stored.version, etag=stored.etag, size=len(stored.body))
        if len(stored.body) > self._limit:
            return _failed(ref, InvalidFile(f"the prompt file is larger than {self._limit} bytes"))
        try:
            received = read(ref.key, stored.body)
        except InvalidPromptFile as invalid:
            return _failed(ref, InvalidFile(str(invalid), invalid.faults))
        return PromptFile(ref, [from_object(ref, index, prompt) for index, prompt in enumerate(received)])


def _failed(ref: ObjectRef, failure: InvalidFile) -> PromptFile:
    return PromptFile(ref, [from_object(ref, 0, None)], failure)
