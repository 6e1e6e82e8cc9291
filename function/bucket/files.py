"""Prompt files: which objects may be read, and the requests in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Self

from events.dialects import Carried
from events.prompt import Fault, sentence
from events.promptfile import Entries, Entry, InvalidPromptFile, Limits, expand, read
from events.request import ObjectRef, Request, from_message, from_object
from function import layout
from function.errors import InvalidFile, InvalidRequest
from function.store import ObjectStore

# Bytes; S3's own limit.
LONGEST_NAME: Final = 1024


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, or why it cannot be drawn."""

    request: Request
    refusal: InvalidRequest | InvalidFile | None = None

    @classmethod
    def of(cls, request: Request, faults: Sequence[Fault]) -> Self:
        """The request, refused if there are faults."""
        return cls(request, InvalidRequest(sentence(faults), faults) if faults else None)


@dataclass(frozen=True, slots=True)
class Prompts:
    """What a file or a message asks for, built one at a time; with a `refusal`, a prompt 0 stands for all of it."""

    request: Callable[[int, object], Request]
    entries: Entries | Sequence[Entry]
    refusal: InvalidFile | None

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Asked]:
        for index, entry in enumerate(self.entries):
            request = self.request(index, entry.received)
            yield Asked(request, self.refusal) if self.refusal else Asked.of(request, entry.faults)


@dataclass(frozen=True, slots=True)
class PromptFile(Prompts):
    """A dropped file, as read."""

    ref: ObjectRef


class PromptFiles:
    """Reads the objects of the allow-listed buckets that pass the filter."""

    def __init__(
        self,
        stores: Mapping[str, ObjectStore],
        *,
        image_bucket: str,
        prefix: str,
        suffix: str,
        limits: Limits,
        destinations: Sequence[str] = (),
    ) -> None:
        self.stores = stores
        self.prefix = prefix
        self._image_bucket = image_bucket
        self._suffix = suffix
        self._limits = limits
        self._own = (*layout.OWN, *(f"{prefix}/" for prefix in destinations))

    def admits(self, ref: ObjectRef) -> bool:
        """Whether the object may be a prompt file: listed bucket, filter, a real name, no folder, nothing we wrote."""
        own = ref.bucket == self._image_bucket and ref.key.startswith(self._own)
        return (
            ref.bucket in self.stores
            and ref.key.startswith(self.prefix)
            and ref.key.endswith(self._suffix)
            and not ref.key.endswith("/")
            and not own
            and _is_name(ref.key)
        )

    def identify(self, ref: ObjectRef) -> ObjectRef | None:
        """The object with the version and etag under which `read` would give it now; None if it is gone."""
        stored = self.stores[ref.bucket].read(ref.key, ref.version, limit=0)
        return replace(ref, version=stored.version, etag=stored.etag) if stored else None

    def read(self, ref: ObjectRef) -> PromptFile | None:
        """The file as it is now, or in the version that `ref` names; None if it is gone."""
        limit = self._limits.size
        stored = self.stores[ref.bucket].read(ref.key, ref.version, limit + 1)
        if stored is None:
            return None
        # Of a file that is too large nobody knows how large.
        size = len(stored.body) if len(stored.body) <= limit else None
        ref = replace(ref, version=stored.version, etag=stored.etag, size=size)
        entries, refusal = _entries(None, lambda: read(ref.key, stored.body, self._limits))
        return PromptFile(partial(from_object, ref), entries, refusal, ref)

    def carried(self, found: Carried) -> Prompts:
        """What the message itself asks for."""
        entries, refusal = _entries(found.received, lambda: expand(found.received, self._limits))
        count = len(entries)
        return Prompts(lambda index, one: from_message(found.source, found.id, index, count, one), entries, refusal)


def _entries(
    unread: object, entries: Callable[[], Entries]
) -> tuple[Entries, None] | tuple[Sequence[Entry], InvalidFile]:
    """The entries; or the value that stands for all of them, and why they cannot be read."""
    try:
        return entries(), None
    except InvalidPromptFile as invalid:
        return [Entry(unread)], InvalidFile(str(invalid), invalid.faults)


def _is_name(key: str) -> bool:
    """Whether a store can hold an object of this name; some take the segments . and .. for paths."""
    try:
        encoded = key.encode()
    except UnicodeEncodeError:
        return False
    return 0 < len(encoded) <= LONGEST_NAME and 0 not in encoded and {".", ".."}.isdisjoint(key.split("/"))
