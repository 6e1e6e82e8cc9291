"""AWS EventBridge's events of S3, as documented (ev-events), such as an API destination POSTs them."""

from __future__ import annotations

from events.dialects.found import Dropped, Found, Nothing
from events.envelope import Message
from events.request import ObjectRef


def read(message: Message) -> Found | None:
    """The object of an "Object Created"; its key is not encoded."""
    data = message.data
    if not isinstance(data, dict) or not {"detail-type", "detail"} <= data.keys():
        return None
    if (data.get("source"), data["detail-type"]) != ("aws.s3", "Object Created"):
        return Nothing("an EventBridge event, but of no created object")
    try:
        bucket, found = data["detail"]["bucket"]["name"], data["detail"]["object"]
        key, version, etag, size = found["key"], found.get("version-id"), found.get("etag"), found.get("size")
    except (KeyError, TypeError, AttributeError):
        return Nothing("an unreadable EventBridge event")
    if not (isinstance(bucket, str) and bucket and isinstance(key, str) and key) or key.endswith("/"):
        return Nothing("an EventBridge event that names no object")
    return Dropped((ObjectRef.named(bucket, key, version, etag, size),))
