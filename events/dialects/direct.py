"""Darkroom's own events."""

from __future__ import annotations

import hashlib
import uuid

from events import IMAGE_REQUESTED, PROMPTS_DROPPED
from events.dialects.found import Dropped, Found, Prompted
from events.envelope import MAX_ATTRIBUTE, Message, NotACloudEvent
from events.prompt import Prompt
from events.request import ObjectRef, Request, context_of


def read(message: Message) -> Found | None:
    """An `image.requested` whose data is the prompt, or a `prompts.dropped` that names its object."""
    if message.type == IMAGE_REQUESTED:
        attributes = message.attributes
        return Prompted(Request(attributes["source"], attributes["id"], message.data, context=context_of(message)))
    if message.type == PROMPTS_DROPPED:
        return Dropped((_object(message.data),))
    return None


def _object(data: object) -> ObjectRef:
    named = data.get("object") if isinstance(data, dict) else None
    if not isinstance(named, dict):
        raise NotACloudEvent("prompts.dropped does not name its object")
    bucket, key, version, etag, size = (named.get(name) for name in ("bucket", "key", "version", "etag", "size"))
    if not (isinstance(bucket, str) and bucket and isinstance(key, str) and key):
        raise NotACloudEvent("prompts.dropped names an object without a bucket or a key")
    return ObjectRef.named(bucket, key, version, etag, size)


def plain(data: object, idempotency_key: str | None) -> Request | None:
    """The request in a plain JSON prompt, recognised by at least one of a prompt's fields.

    Without an idempotency key each is a new request; a key longer than an attribute may be stands for its hash.
    """
    if not isinstance(data, dict) or not data.keys() & Prompt.model_fields.keys():
        return None
    id_ = idempotency_key or str(uuid.uuid4())
    if len(id_) > MAX_ATTRIBUTE:
        id_ = hashlib.sha256(id_.encode()).hexdigest()
    return Request("/drop", id_, data)
