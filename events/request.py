"""A request: one prompt, where it came from, and the key under which everything about it is kept."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, Self
from urllib.parse import quote

from events.envelope import EXPIRY, FORBIDDEN, Message, instant
from events.prompt import prompt_hash

# Copied from a request to its outcome: CloudEvents' documented extensions for correlation, partitioning and tracing.
COPIED: Final = ("correlationid", "partitionkey", "traceparent", "tracestate")
# Copied from what was dropped to its requests; an outcome does not go stale.
CARRIED: Final = (*COPIED, EXPIRY)


def key_of(source: str, id: str) -> str:
    """The sha256, in hex, of a CloudEvent's source and id: the name of its claims, images and record."""
    return _digest(source, id)


def _digest(*parts: str) -> str:
    # surrogatepass: object keys may hold what JSON escapes allow but UTF-8 does not.
    return hashlib.sha256(b"\0".join(part.encode("utf-8", "surrogatepass") for part in parts)).hexdigest()


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """An object in a bucket; `version` and `etag` are None where unknown or where the bucket keeps no versions."""

    bucket: str
    key: str
    version: str | None = None
    etag: str | None = None
    size: int | None = None

    def __post_init__(self) -> None:
        # Servers write "no version" as "null" or as nothing, and quote etags or not.
        object.__setattr__(self, "version", None if self.version in ("", "null") else self.version)
        object.__setattr__(self, "etag", (self.etag or "").strip('"') or None)
        # True is an int to Python, and nothing has a negative size.
        object.__setattr__(self, "size", self.size if type(self.size) is int and self.size >= 0 else None)

    @classmethod
    def named(cls, bucket: str, key: str, version: object, etag: object, size: object) -> Self:
        """The object as a stranger's JSON names it, where a field of another type counts as unknown."""
        return cls(
            bucket,
            key,
            version if isinstance(version, str) else None,
            etag if isinstance(etag, str) else None,
            size if type(size) is int and size >= 0 else None,
        )

    @property
    def source(self) -> str:
        """The CloudEvents source of what this object asks for."""
        return f"s3://{self.bucket}"

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{quote(self.key, safe='/', errors='surrogatepass')}"

    @property
    def subject(self) -> str:
        """bucket/key as a CloudEvent's subject, percent-encoded where no attribute may hold what is there."""
        return FORBIDDEN.sub(lambda found: quote(found[0], errors="surrogatepass"), f"{self.bucket}/{self.key}")

    @property
    def identified(self) -> bool:
        """Whether it is known which content is meant, so that a key can be derived."""
        return bool(self.version or self.etag)

    @property
    def file_id(self) -> str:
        return _digest(self.key, self.version or self.etag or "")

    @property
    def file_key(self) -> str:
        """The key of the file as a whole, under `files/`."""
        return key_of(self.source, self.file_id)

    def prompt_id(self, index: int) -> str:
        return _digest(self.key, self.version or self.etag or "", str(index))

    def as_data(self) -> dict[str, object]:
        """The object as events name it, with what is unknown left out."""
        fields = ("bucket", "key", "version", "etag", "size")
        return {name: value for name in fields if (value := getattr(self, name)) is not None}


@dataclass(frozen=True, slots=True)
class Request:
    """One prompt as received, with its CloudEvents identity; `retry` says which retry it is, 0 that it is none."""

    source: str
    id: str
    received: object
    object: ObjectRef | None = None
    index: int = 0
    context: Mapping[str, str] = field(default_factory=dict)
    retry: int = 0

    @property
    def key(self) -> str:
        return key_of(self.source, self.id)

    @property
    def prompt_hash(self) -> str:
        return prompt_hash(self.received)

    @property
    def expires(self) -> datetime | None:
        """From when on it is not to be drawn any more."""
        return instant(self.context[EXPIRY]) if EXPIRY in self.context else None

    def retried(self, number: int) -> Request:
        """The same once more, under an id of its own, and without an expiry, which may be why it is asked again."""
        context = {name: value for name, value in self.context.items() if name != EXPIRY}
        return replace(self, id=_digest(self.id, str(number)), context=context, retry=number)

    @property
    def seed(self) -> int:
        """The seed of a request that leaves it open: a redelivery draws the same picture."""
        return int(self.key[:16], 16)


def context_of(message: Message) -> dict[str, str]:
    """What of a CloudEvent's attributes goes on to the requests in it."""
    sent = message.attributes
    return {name: sent[name] for name in CARRIED if name in sent and not FORBIDDEN.search(sent[name])}


def from_object(ref: ObjectRef, index: int, received: object) -> Request:
    """The request for prompt `index` of a dropped file, the same by whatever route the file was announced."""
    return Request(source=ref.source, id=ref.prompt_id(index), received=received, object=ref, index=index)


def from_message(source: str, id: str, index: int, count: int, received: object) -> Request:
    """The request for prompt `index` of `count` that a message carries; the only one has the message's own id."""
    return Request(source=source, id=id if count == 1 else _digest(id, str(index)), received=received, index=index)
