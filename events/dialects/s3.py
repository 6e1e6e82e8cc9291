"""S3 event notifications, raw or carried by a CloudEvent: `{"Records": [...]}`, or one record by itself.

As measured on MinIO RELEASE.2025-09-07 and documented by AWS (notification-content-structure), RustFS, Ceph RGW and
CloudEvents' adapter for S3, whose "data" is either.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import unquote_plus

from events.dialects.found import Dropped, Found, Nothing
from events.envelope import Message
from events.request import ObjectRef

# ObjectCreated:* also announces changed tags, retention and legal hold; nothing new is there to draw.
CREATED: Final = frozenset(f"ObjectCreated:{how}" for how in ("Put", "Post", "Copy", "CompleteMultipartUpload"))


def read(message: Message) -> Found | None:
    """The objects that the records say were created."""
    data = message.data
    if not isinstance(data, dict):
        return None
    if data.get("Event") == "s3:TestEvent":
        return Nothing("a test event")
    records = [data] if "eventName" in data else data.get("Records")
    if not isinstance(records, list) or not all(isinstance(record, dict) and "s3" in record for record in records):
        return None
    objects = tuple(ref for record in records if (ref := _created(record)) is not None)
    return Dropped(objects) if objects else Nothing("no record of a created object")


def _created(record: dict[str, Any]) -> ObjectRef | None:
    if str(record.get("eventName", "")).removeprefix("s3:") not in CREATED:
        return None
    try:
        bucket, found = record["s3"]["bucket"]["name"], record["s3"]["object"]
        key = found["key"]
        if record.get("eventSource") != "ceph:s3":
            # All others write keys form-urlencoded; decoding twice would turn a real + into a space.
            key = unquote_plus(key, errors="surrogateescape")
    except (KeyError, TypeError, AttributeError):
        return None
    if not (isinstance(bucket, str) and bucket and isinstance(key, str) and key) or key.endswith("/"):
        return None
    version, etag, size = found.get("versionId"), found.get("eTag"), found.get("size", 0)
    return ObjectRef.named(bucket, key, version, etag, size)
