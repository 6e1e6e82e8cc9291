"""What no signature covers: the frame around the manifest, and its padding, must be as a signer leaves them.

C2PA signs the file but for the manifest, and of the manifest the claim and its assertions. What is between those says
nothing of the picture, and readers of C2PA let it pass whatever is in it: a third of the manifest of our files.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from function.finish.cbor import item


class Misframed(Exception):
    """The message says where the frame is not as a signer leaves it."""


_C2PA: Final = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
_JUMBF_TYPE: Final = bytes.fromhex("00110010800000aa00389b71")
# Which labels a box of each type may have; of the types that are not here, any.
_LABELS: Final = {
    b"c2pa": {"c2pa"},
    b"c2as": {"c2pa.assertions"},
    b"c2cl": {"c2pa.claim", "c2pa.claim.v2"},
    b"c2cs": {"c2pa.signature"},
    b"c2vc": {"c2pa.credentials"},
    b"c2db": {"c2pa.databoxes"},
}
# What a JPEG's writers number the box with that holds the manifest.
_NUMBERS: Final = {b"\x02\x11", b"\0\1"}
_REQUESTABLE, _LABEL, _ID, _HASH, _PRIVATE = 1, 2, 4, 8, 16
# All that a picture needs, moving ones too. C2PA lets others, such as `free`, hold whatever anyone has put there.
_BOXES: Final = frozenset({b"ftyp", b"uuid", b"meta", b"moov", b"mdat"})


def check(file: bytes, media_type: str) -> None:
    """Raises `Misframed`, unless the manifest in the file and what holds it are framed without a flaw."""
    try:
        store = _STORES[media_type](file)
        ((kind, begin, end),) = _boxes(store, 0, len(store))
        _superbox(store, kind, begin, end)
    except (struct.error, IndexError, TypeError, ValueError):
        raise Misframed("the manifest is cut short, or there is something beside it") from None


def _png(file: bytes) -> bytes:
    at, store = 8, b""
    while at < len(file):
        (size,) = struct.unpack_from(">I", file, at)
        kind, body = file[at + 4 : at + 8], file[at + 8 : at + 8 + size]
        (crc,) = struct.unpack_from(">I", file, at + 8 + size)
        if zlib.crc32(kind + body) != crc:
            raise Misframed(f"the checksum of the chunk {kind.decode('latin-1')} is wrong")
        if kind == b"caBX":
            store += body
        at += 12 + size
    return store


def _jpeg(file: bytes) -> bytes:
    """APP11 segments: each begins with JP, the number of the box, that of the segment, and the box's own head."""
    at, head, store, count = 2, b"", b"", 0
    while file[at + 1] != 0xDA:  # the picture begins
        (size,) = struct.unpack_from(">H", file, at + 2)
        segment = file[at + 4 : at + 2 + size]
        if file[at + 1] == 0xEB and (count == 0 or segment[2:4] == head[:2]):
            count += 1
            head = head or segment[2:4] + segment[8:16]
            if segment[:2] + segment[2:4] + segment[8:16] != b"JP" + head or head[:2] not in _NUMBERS:
                raise Misframed("the manifest's segments do not belong together")
            if struct.unpack_from(">I", segment, 4) != (count,):
                raise Misframed("the manifest's segments are not in order")
            store += segment[8:] if count == 1 else segment[16:]
        at += 2 + size
    return store


def _webp(file: bytes) -> bytes:
    at = 12
    while file[at : at + 4] != b"C2PA":
        at += 8 + _even(struct.unpack_from("<I", file, at + 4)[0])
    (size,) = struct.unpack_from("<I", file, at + 4)
    return file[at + 8 : at + 8 + size]


def _even(size: int) -> int:
    return size + size % 2


def _avif(file: bytes) -> bytes:
    store, meta, moves = b"", b"", False
    for kind, begin, end in _boxes(file, 0, len(file)):
        # The file's type comes first, and once: nobody signs it.
        if kind not in _BOXES or (kind == b"ftyp") != (begin == 8):
            raise Misframed("there is a box in the file that is none of a picture's")
        if kind == b"meta":
            meta = file[begin:end]
        moves = moves or kind == b"moov"
        if kind == b"uuid" and file[begin : begin + 16] == _C2PA:
            # Version and flags, what it is for, and where more hashes would be: there are none.
            if file[begin + 16 : begin + 37] != b"\0\0\0\0manifest\0" + bytes(8):
                raise Misframed("the box that holds the manifest is not as it should be")
            store = file[begin + 37 : end]
    if b"av1C" not in meta or not file.startswith(_file_type(meta, moves=moves)):
        raise Misframed("the file does not say that it is AVIF as libavif does")
    return store


def _file_type(meta: bytes, *, moves: bool) -> bytes:
    """The whole `ftyp` that libavif writes: nobody signs it, but it follows from what is signed."""
    # How the picture is coded: whether with 12 bits, without colours, or with those of half the width and height.
    coded = meta[meta.index(b"av1C") + 6] & 0b0011_1100
    profile = {0: b"MA1A", 0b1100: b"MA1B"}.get(coded, b"")
    major, brands = (b"avis", b"avifavismsf1iso8mif1miaf") if moves else (b"avif", b"avifmif1miaf")
    body = b"ftyp" + major + bytes(4) + brands + profile
    return (4 + len(body)).to_bytes(4, "big") + body


_STORES: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "image/png": _png,
    "image/jpeg": _jpeg,
    "image/webp": _webp,
    "image/avif": _avif,
}


def _boxes(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Each box: its kind, and where its content begins and ends."""
    while at < end:
        size, kind = struct.unpack_from(">I4s", data, at)
        begin = at + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, begin)
            begin += 8
        if size < begin - at or at + size > end:
            raise Misframed("a box is larger than what holds it")
        yield kind, begin, at + size
        at += size


def _superbox(data: bytes, kind: bytes, begin: int, end: int) -> None:
    """One JUMBF superbox: a description, and then boxes, some of which are superboxes."""
    head, *content = _boxes(data, begin, end)
    if kind != b"jumb" or head[0] != b"jumd":
        raise Misframed("the manifest is not in boxes as it should be")
    letters = _description(data, *head[1:])
    for inner, start, stop in content:
        if inner == b"jumb":
            _superbox(data, inner, start, stop)
        elif letters == b"c2cs":
            _unprotected(data[start:stop])


def _description(data: bytes, begin: int, end: int) -> bytes:
    """The four letters of the type that a superbox says it is."""
    toggles = data[begin + 16]
    label_end = data.index(b"\0", begin + 17, end)
    label = data[begin + 17 : label_end].decode("utf-8")
    left = label_end + 1 + 4 * bool(toggles & _ID) + 32 * bool(toggles & _HASH)
    if toggles & _PRIVATE:
        ((_, _, left),) = _boxes(data, left, end)
    known = _REQUESTABLE | _LABEL | _ID | _HASH | _PRIVATE
    if toggles & ~known or (toggles & 3) != _REQUESTABLE | _LABEL or left != end:
        raise Misframed(f"the box {label!r} is not described as it should be")
    letters = data[begin : begin + 4]
    if data[begin + 4 : begin + 16] == _JUMBF_TYPE and label not in _LABELS.get(letters, {label}):
        raise Misframed(f"the box {label!r} has a label that is not its own")
    return letters


def _unprotected(signature: bytes) -> None:
    """The part of a COSE signature that is not signed: padding with zeros, and what is checked by itself."""
    (_, headers, payload, _), end = item(signature, 0)
    if payload is not None or end != len(signature) or not isinstance(headers, dict):
        raise Misframed("the signature is not alone")
    for name, value in headers.items():
        if name in ("pad", "pad2"):
            if not isinstance(value, bytes) or value.strip(b"\0"):
                raise Misframed("there is something in the signature's padding")
        elif name not in ("sigTst", "sigTst2", "rVals", "x5chain", 33):
            raise Misframed("the signature has a header that C2PA does not know")
