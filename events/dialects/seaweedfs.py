"""SeaweedFS's filer webhook: `{"event_type", "key", "message"}`, as measured on 4.48."""

from __future__ import annotations

import base64
import binascii
from typing import Any, Final

from events.dialects.found import Dropped, Found, Nothing
from events.envelope import Message
from events.request import ObjectRef

BUCKETS: Final = "/buckets/"


def read(message: Message) -> Found | None:
    """The object that was created, overwritten or renamed; folders, parts and changed tags are nothing."""
    data = message.data
    if not isinstance(data, dict) or not {"event_type", "key", "message"} <= data.keys():
        return None
    kind, path, change = data["event_type"], data["key"], data["message"]
    if not isinstance(path, str) or not isinstance(change, dict):
        return Nothing("an unreadable filer event")
    new, old = change.get("new_entry"), change.get("old_entry")
    if kind not in ("create", "update", "rename") or not isinstance(new, dict):
        return Nothing(f"a filer event of kind {str(kind)[:20]!r}")
    if kind == "rename":
        path = f"{change.get('new_parent_path')}/{new.get('name')}"
    if new.get("is_directory") or not path.startswith(BUCKETS) or "/.uploads/" in path:
        return Nothing("a folder, a part of an upload, or no object at all")
    if kind == "update" and isinstance(old, dict) and new.get("chunks") and new["chunks"] == old.get("chunks"):
        return Nothing("only tags or metadata changed")
    bucket, _, key = path.removeprefix(BUCKETS).partition("/")
    if not key:
        return Nothing("a bucket")
    return Dropped((ObjectRef(bucket, key, etag=_etag(new), size=_size(new)),))


def _etag(entry: dict[str, Any]) -> str | None:
    """The S3 etag, which SeaweedFS keeps base64-encoded among the extended attributes."""
    try:
        return base64.b64decode(entry["extended"]["Seaweed-X-Amz-ETag"], validate=True).decode("ascii")
    except (KeyError, TypeError, ValueError, binascii.Error):
        return None


def _size(entry: dict[str, Any]) -> int | None:
    attributes = entry.get("attributes")
    size = attributes.get("file_size", 0) if isinstance(attributes, dict) else None
    return size if isinstance(size, int) else None
