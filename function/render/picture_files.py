"""What a stranger's picture file is, read from its outside alone, before anything is asked to decode it.

PNG, JPEG and WebP are rows of parts that say how long they are. All of them are walked over, so that what comes after
the picture, between its parts or as its second frame is seen here, and no size that is too large reaches a decoder.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

# As many as the largest picture that can be asked for; decoders take up to 16 bytes for each.
MOST_PIXELS: Final = 2048 * 2048
LONGEST_SIDE: Final = 4096
# Bytes that are no picture, such as EXIF, text, colour profiles and what frames each part.
MOST_BESIDE: Final = 1 << 20
# Each pass over the whole picture costs its time; a camera's progressive JPEG has about ten.
MOST_PASSES: Final = 50

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_PICTURE_OF_PNG: Final = frozenset({b"IDAT", b"PLTE"})
_PICTURE_OF_WEBP: Final = frozenset({b"VP8 ", b"VP8L", b"ALPH"})
# Within a scan 0 stands for the byte itself, and the eight from 0xD0 on only restart it.
_MARKER: Final = re.compile(rb"\xff+([\x01-\xcf\xd8-\xfe])", re.DOTALL)
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_START, _END, _SCAN, _COMMENT = 0xD8, 0xD9, 0xDA, 0xFE
_APPLICATIONS: Final = range(0xE0, 0xF0)
_ANIMATED: Final = 0x02


class Unusable(Exception):
    """The file is no picture that can be used; the message says why, and goes on from the field's name."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of itself."""

    format: Literal["PNG", "JPEG", "WEBP"]
    width: int
    height: int


def header_of(body: bytes) -> Header:
    """What `body` is, from its first byte to its last; `Unusable` if it is more or less than one picture."""
    try:
        header = _reader(body)(body)
    except IndexError:
        raise Unusable("is cut off") from None
    if not (0 < header.width <= LONGEST_SIDE and 0 < header.height <= LONGEST_SIDE):
        raise Unusable(f"is {header.width}x{header.height} pixels; a side has at most {LONGEST_SIDE}")
    if header.width * header.height > MOST_PIXELS:
        raise Unusable(f"is {header.width}x{header.height} pixels, more than {MOST_PIXELS}; scale it down")
    return header


def _reader(body: bytes) -> Callable[[bytes], Header]:
    if body.startswith(_PNG):
        return _png
    if body.startswith(b"\xff\xd8\xff"):
        return _jpeg
    if body.startswith(b"RIFF") and body[8:12] == b"WEBP":
        return _webp
    raise Unusable("is no PNG, JPEG or WebP")


def _png(body: bytes) -> Header:
    at, beside, kind = len(_PNG), 0, b""
    width = height = 0
    while kind != b"IEND":
        size, kind = _number(body, at, 4, "big"), body[at + 4 : at + 8]
        if (kind == b"IHDR") != (at == len(_PNG)):
            raise Unusable("is a PNG that does not begin with its one header")
        if kind == b"IHDR":
            width, height = _number(body, at + 8, 4, "big"), _number(body, at + 12, 4, "big")
        if kind == b"acTL":
            raise Unusable("has more than one frame")
        beside = _counted(beside + (12 if kind in _PICTURE_OF_PNG else 12 + size))
        at += 12 + size
    return _whole(body, at, Header("PNG", width, height))


def _jpeg(body: bytes) -> Header:
    at, beside, passes = 2, 0, 0
    width = height = 0
    while True:
        marker = _MARKER.search(body, at)
        if marker is None:
            raise Unusable("is cut off")
        kind, at = marker[1][0], marker.end()
        if kind == _END:
            return _whole(body, at, Header("JPEG", width, height))
        if kind == _START:
            raise Unusable("has more than one frame")
        size = _number(body, at, 2, "big")
        if kind in _FRAMES:
            height, width = max(height, _number(body, at + 3, 2, "big")), max(width, _number(body, at + 5, 2, "big"))
        passes += kind == _SCAN
        if passes > MOST_PASSES:
            raise Unusable(f"is a JPEG of more than {MOST_PASSES} passes; save it again as a plain one")
        beside = _counted(beside + (2 + size if kind in _APPLICATIONS or kind == _COMMENT else 2))
        at += size


def _webp(body: bytes) -> Header:
    end = 8 + _number(body, 4, 4, "little")
    at, beside, width, height = 12, 0, 0, 0
    while at < end:
        kind, size = body[at : at + 4], _number(body, at + 4, 4, "little")
        data = at + 8
        if kind == b"VP8X":
            if body[data] & _ANIMATED:
                raise Unusable("has more than one frame")
            sides = 1 + _number(body, data + 4, 3, "little"), 1 + _number(body, data + 7, 3, "little")
        elif kind == b"VP8 ":
            sides = _number(body, data + 6, 2, "little") & 0x3FFF, _number(body, data + 8, 2, "little") & 0x3FFF
        elif kind == b"VP8L":
            bits = _number(body, data + 1, 4, "little")
            sides = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        else:
            sides = 0, 0
        width, height = max(width, sides[0]), max(height, sides[1])
        beside = _counted(beside + (8 if kind in _PICTURE_OF_WEBP else 8 + size))
        at = data + size + size % 2
    return _whole(body, max(at, end), Header("WEBP", width, height))


def _number(body: bytes, at: int, size: int, order: Literal["big", "little"]) -> int:
    if at + size > len(body):
        raise IndexError
    return int.from_bytes(body[at : at + size], order)


def _counted(beside: int) -> int:
    if beside > MOST_BESIDE:
        raise Unusable(f"holds more than {MOST_BESIDE} bytes that are no picture, such as EXIF or text; leave them out")
    return beside


def _whole(body: bytes, end: int, header: Header) -> Header:
    if end > len(body):
        raise Unusable("is cut off")
    if end < len(body):
        raise Unusable("goes on after the picture's end; save it again as a plain one")
    return header
