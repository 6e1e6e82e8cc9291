"""What a file says of itself: read, never decoded, and told as it stands there, which anyone can have written."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from PIL import Image

from events.envelope import decode_json
from function.finish.metadata import EXIF, MAKER_NOTE, PARAMETERS, RECORD, UNICODE, USER_COMMENT
from function.finish.xmp import UNREADABLE, opened

_RECORDS_HAVE: Final = frozenset({"key", "seed", "prompt", "model", "software"})


class NoPicture(ValueError):
    """The bytes are none of the pictures that Darkroom makes."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A picture's format and sides, and what it says: our record, and A1111's parameters."""

    format: str
    width: int
    height: int
    record: Mapping[str, Any] | None = None
    parameters: str | None = None


def seen(file: bytes) -> Seen:
    """What the file says; `NoPicture` for one that is none."""
    try:
        with opened(file) as picture:
            info = picture.info
            notes = _notes(info.get("exif"))
            return Seen(
                str(picture.format),
                *picture.size,
                record=_record(info.get(RECORD) or notes.get(MAKER_NOTE)),
                parameters=info.get(PARAMETERS) or _comment(notes.get(USER_COMMENT)),
            )
    except UNREADABLE as error:
        raise NoPicture("is no PNG, JPEG, WebP or AVIF that can be read") from error


def _notes(found: object) -> Mapping[int, Any]:
    """What is in Exif's own directory; of Exif that cannot be read nothing."""
    # A PNG may have a text of that name.
    if not isinstance(found, bytes):
        return {}
    exif = Image.Exif()
    with suppress(*UNREADABLE):
        exif.load(found)
        return exif.get_ifd(EXIF)
    return {}


def _record(found: object) -> Mapping[str, Any] | None:
    """Our JSON, if that is what it is."""
    if not isinstance(found, str | bytes):
        return None
    try:
        record = decode_json(found.encode() if isinstance(found, str) else found)
    except ValueError:
        return None
    if isinstance(record, dict) and record.keys() >= _RECORDS_HAVE and isinstance(record["prompt"], dict):
        return record
    return None


def _comment(found: object) -> str | None:
    if not isinstance(found, bytes) or not found.startswith(UNICODE):
        return None
    return found.removeprefix(UNICODE).decode("utf-16-be", "replace") or None
