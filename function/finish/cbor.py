"""CBOR (RFC 8949), as far as signatures are written in it."""

from __future__ import annotations

import struct
from typing import Any, Final

_WIDER: Final = {24: ">B", 25: ">H", 26: ">I", 27: ">Q"}
_DEEPEST: Final = 8
_NULL: Final = 22


class Malformed(ValueError):
    """These bytes are no CBOR of the kind that signatures are written in."""


def item(data: bytes, at: int, depth: int = 0) -> tuple[Any, int]:
    """The item that begins there, and where it ends; of a tag its content."""
    kind, value = data[at] >> 5, data[at] & 31
    at += 1
    if value in _WIDER:
        form = _WIDER[value]
        (value,) = struct.unpack_from(form, data, at)
        at += struct.calcsize(form)
    elif value > 27:
        raise Malformed("something of no stated length")
    if depth > _DEEPEST or (kind in (2, 3, 4, 5) and value > len(data) - at):
        raise Malformed("something too deep, or longer than all")
    if kind in (2, 3):
        body = data[at : at + value]
        return body.decode("utf-8") if kind == 3 else body, at + value
    if kind in (4, 5):
        items = []
        for _ in range(value * (kind - 3)):
            inner, at = item(data, at, depth + 1)
            items.append(inner)
        return items if kind == 4 else dict(zip(items[::2], items[1::2], strict=True)), at
    if kind == 6:
        return item(data, at, depth + 1)
    if kind == 7:
        return None if value == _NULL else ("simple", value), at
    return value if kind == 0 else -1 - value, at
