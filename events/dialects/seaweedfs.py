"""SeaweedFS's filer webhook: `{"event_type", "key", "message"}`, as measured on 4.48."""

from __future__ import annotations

import base64
from typing import Any, Final

from events.dialects.found import Dropped, Found, Nothing
from events.envelope import Message
from events.request import ObjectRef

BUCKETS: Final = "/buckets/"
ETAG: Final = "Seaweed-X-Amz-ETag"


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
        return Nothing("a filer event, but of no new object")
    if kind == "rename":
        path = f"{change.get('new_parent_path')}/{new.get('name')}"
    bucket, _, key = path.removeprefix(BUCKETS).partition("/")
    # No bucket's name begins with a dot; parts lie beside the objects until their upload is completed.
    if new.get("is_directory") or not path.startswith(BUCKETS) or bucket.startswith(".") or key.startswith(".uploads/"):
        return Nothing("a folder, a part of an upload, or no object at all")
    if _extended(new, "Seaweed-X-Amz-Delete-Marker"):
        return Nothing("a delete marker")
    if kind == "update" and isinstance(old, dict) and _written(new) == _written(old):
        return Nothing("only tags or metadata changed")
    version = _extended(new, "Seaweed-X-Amz-Version-Id")
    if version:
        # A bucket that keeps versions has a folder for each object, and in it a file for each version.
        key = key.removesuffix(f".versions/v_{version}")
    if not bucket or not key:
        return Nothing("a bucket")
    return Dropped((ObjectRef(bucket, key, version, _extended(new, ETAG), _size(new)),))


def _extended(entry: dict[str, Any], name: str) -> str | None:
    """What S3 keeps of an object beside its content, in base64."""
    try:
        return base64.b64decode(entry["extended"][name], validate=True).decode("ascii")
    except (KeyError, TypeError, ValueError):
        return None


def _written(entry: dict[str, Any]) -> object:
    """What is other once the content was written again: where its chunks lie, if it is long enough to have any."""
    chunks = entry.get("chunks")
    if isinstance(chunks, list) and chunks:
        # Not the whole chunk: an old one is also named by a file_id.
        return [(chunk.get("fid"), chunk.get("modified_ts_ns")) for chunk in chunks if isinstance(chunk, dict)]
    attributes = entry.get("attributes")
    return attributes.get("mtime") if isinstance(attributes, dict) else None, _extended(entry, ETAG)


def _size(entry: dict[str, Any]) -> int | None:
    attributes = entry.get("attributes")
    size = attributes.get("file_size", 0) if isinstance(attributes, dict) else None
    return size if isinstance(size, int) else None
