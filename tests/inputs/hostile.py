"""Files that strangers may send in place of pictures, and what is to be said of each; built anew by every test."""

from __future__ import annotations

import io
import random
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

from PIL import Image

PNG = b"\x89PNG\r\n\x1a\n"
FORMATS = ("PNG", "JPEG", "WEBP")

# A file's name, its bytes, and a part of the sentence.
Hostile = tuple[str, bytes, str]


def picture(format: str, width: int = 64, height: int = 48, mode: str = "RGB", **options: Any) -> bytes:
    """A file with a picture that has something to see."""
    image = Image.effect_noise((width, height), 60).convert(mode)
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def header(width: int, height: int, depth: int = 8, colour: int = 2) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))


def png(width: int, height: int, pixels: bytes, *between: bytes) -> bytes:
    """A PNG with chunks of one's own between its header and its pixels."""
    return PNG + header(width, height) + b"".join(between) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def flat(width: int, height: int) -> bytes:
    """Black pixels, a thousand times smaller than what they become."""
    packer = zlib.compressobj(9)
    return b"".join(packer.compress(bytes(3 * width + 1)) for _ in range(height)) + packer.flush()


def segment(marker: int, data: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"".join(kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2) for kind, data in chunks)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def vp8x(width: int, height: int, flags: int = 0) -> tuple[bytes, bytes]:
    return b"VP8X", bytes([flags, 0, 0, 0]) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")


def resized(jpeg: bytes, width: int, height: int) -> bytes:
    """The JPEG with another size in its header."""
    at = jpeg.index(b"\xff\xc0")
    return jpeg[: at + 5] + struct.pack(">HH", height, width) + jpeg[at + 9 :]


def after(jpeg: bytes, *segments: bytes) -> bytes:
    """The JPEG with segments of one's own at its begin."""
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as opened:
        opened.writestr("payload.py", "print('here')")
    return file.getvalue()


def animated(format: str) -> bytes:
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue")]
    file = io.BytesIO()
    frames[0].save(file, format, save_all=True, append_images=frames[1:])
    return file.getvalue()


def hostile() -> Iterator[Hostile]:
    """A hundred and more of them."""
    plain = {kind: picture(kind) for kind in FORMATS}
    yield from _no_pictures(plain)
    yield from _too_large(plain["JPEG"])
    yield from _more_than_a_picture(plain)
    yield from _less_than_a_picture(plain)
    yield from _lies(plain)


def _no_pictures(plain: dict[str, bytes]) -> Iterator[Hostile]:
    nothing = "is no PNG, JPEG or WebP"
    for kind in ("GIF", "BMP", "TIFF", "ICO", "PPM", "TGA", "PCX", "JPEG2000", "SGI", "DDS", "PDF", "EPS"):
        yield kind, picture(kind), nothing
    svg = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'
    script = b'#!/bin/sh\ncurl "http://169.254.169.254/"\n'
    for name, body in {"svg": svg, "script": script, "zip": archive(), "empty": b"", "text": b"a red star"}.items():
        yield name, body, nothing
    yield "pickle", b"\x80\x04cposix\nsystem\n(S'id'\ntR.", nothing
    yield "mvg", b"push graphic-context\nimage over 0,0 0,0 'https://x.example'\npop graphic-context", nothing
    for kind, body in plain.items():
        yield f"{kind} behind a space", b" " + body, nothing
        yield f"{kind} without its magic", b"\0\0\0\0" + body[4:], nothing
    for kind in ("JPEG", "WEBP"):
        yield f"{kind} behind a PNG's magic", PNG + plain[kind][8:], "does not begin with its one header"
    for kind in ("PNG", "JPEG"):
        yield f"{kind} behind a WEBP's magic", b"RIFF" + plain[kind][4:], nothing
    yield "script behind a JPEG's magic", b"\xff\xd8\xff\xe0" + script, "is cut off"


def _too_large(jpeg: bytes) -> Iterator[Hostile]:
    for width, height in ((60_000, 60_000), (60_000, 1), (1, 60_000), (2**31 - 1, 2**31 - 1), (4097, 8), (0, 8)):
        yield f"PNG {width}x{height}", png(width, height, zlib.compress(b"\0" * 99)), "pixels; a side has at most 4096"
    for width, height in ((4096, 4096), (2049, 2048), (4096, 1025)):
        yield f"PNG {width}x{height}", png(width, height, flat(width, height)), "scale it down"
        yield f"JPEG {width}x{height}", resized(jpeg, width, height), "scale it down"
    for width, height in ((60_000, 60_000), (65_535, 1), (0, 48), (64, 0)):
        yield f"JPEG {width}x{height}", resized(jpeg, width, height), "a side has at most 4096"
    for width, height in ((16_384, 16_384), (2**24, 2**24), (5000, 2)):
        yield f"WEBP {width}x{height}", riff(vp8x(width, height), (b"VP8L", b"\x2f" + b"\0" * 9)), "at most 4096"
    yield "WEBP 4096x4096", riff(vp8x(4096, 4096), (b"VP8L", b"\x2f" + b"\0" * 9)), "scale it down"
    wide = (b"VP8L", b"\x2f" + (16_383 | 16_383 << 14).to_bytes(4, "little") + b"\0" * 9)
    yield "WEBP larger inside", riff(vp8x(64, 64), wide), "at most 4096"


def _more_than_a_picture(plain: dict[str, bytes]) -> Iterator[Hostile]:
    goes_on = "goes on after the picture's end"
    for kind, body in plain.items():
        for name, rest in (("zip", archive()), ("html", b"<script>alert(1)</script>"), ("itself", body)):
            yield f"{kind} and {name}", body + rest, goes_on
        yield f"{kind} and 1 MB of noughts", body + bytes(1 << 20), goes_on
    for kind in ("PNG", "WEBP"):
        yield f"animated {kind}", animated(kind), "has more than one frame"
    yield "MPO", animated("MPO"), goes_on
    beside = "bytes that are no picture"
    ends = zlib.compress(b"\0" * 64 * 3)
    for name, chunk_kind in (("EXIF", b"eXIf"), ("text", b"tEXt"), ("anything", b"abCd"), ("profile", b"iCCP")):
        yield f"PNG with 3 MB of {name}", png(8, 8, ends, chunk(chunk_kind, b"x\0" * (3 << 19))), beside
    yield "PNG of 200,000 empty parts", png(8, 8, ends, chunk(b"IDAT", b"") * 200_000), beside
    yield "PNG of 200,000 short texts", png(8, 8, ends, chunk(b"tEXt", b"a\0b") * 200_000), beside
    packed = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1 << 20), 9))
    yield "PNG whose texts inflate", png(8, 8, ends, packed * 400), "cannot be decoded"
    yield (
        "PNG whose text inflates",
        png(8, 8, ends, chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(99 << 20), 9))),
        "cannot be decoded",
    )
    yield (
        "PNG whose profile inflates",
        png(8, 8, ends, chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(99 << 20)))),
        "cannot be decoded",
    )
    jpeg = plain["JPEG"]
    for name, marker in (("EXIF", 0xE1), ("comments", 0xFE), ("profile", 0xE2)):
        yield f"JPEG with 3 MB of {name}", after(jpeg, *[segment(marker, b"Exif\0\0" + bytes(65_000))] * 50), beside
    scan = jpeg[jpeg.index(b"\xff\xda") : -2]
    yield "JPEG of 1,000 passes", jpeg[:-2] + scan * 1000 + jpeg[-2:], "passes"
    for part in (b"EXIF", b"XMP ", b"junk"):
        yield f"WEBP with 3 MB of {part!r}", riff(vp8x(64, 48, 8), (part, bytes(3 << 20))), beside


def _less_than_a_picture(plain: dict[str, bytes]) -> Iterator[Hostile]:
    for kind, body in plain.items():
        for part in (0.3, 0.6, 0.95):
            yield f"{part:.0%} of a {kind}", body[: int(len(body) * part)], "is cut off"
        yield f"{kind} without its last byte", body[:-1], "is cut off"
    yield "the magic of a PNG", PNG, "is cut off"
    yield "the magic of a JPEG", b"\xff\xd8\xff", "is cut off"
    yield "the magic of a WEBP", b"RIFF\x04\0\0\0WEBP", "a side has at most 4096"
    yield "a PNG without header", PNG + chunk(b"IDAT", b"") + chunk(b"IEND", b""), "does not begin with its one header"
    yield "a PNG of its header", PNG + header(2048, 2048) + chunk(b"IEND", b""), "cannot be decoded"
    yield "a PNG part of 2 GB", PNG + header(8, 8) + struct.pack(">I", 2**31 - 1) + b"IDAT", "is cut off"


def _lies(plain: dict[str, bytes]) -> Iterator[Hostile]:
    broken = "cannot be decoded"
    yield "PNG of few pixels", png(2048, 2048, zlib.compress(bytes(99))), broken
    yield "PNG of no pixels", png(2048, 2048, b""), broken
    yield "PNG of noise", png(2048, 2048, random.Random(1).randbytes(1 << 20)), broken
    large = picture("PNG", 2048, 2048, compress_level=1)
    yield (
        "PNG that breaks in the middle",
        large[: len(large) // 2] + bytes(999) + large[len(large) // 2 + 999 :],
        broken,
    )
    yield "PNG of 16 bits", picture("PNG", mode="I;16"), "more than 8 bits"
    for depth, colour in ((3, 0), (8, 7), (32, 2), (4, 2)):
        body = PNG + header(8, 8, depth, colour) + chunk(b"IDAT", zlib.compress(bytes(999))) + chunk(b"IEND", b"")
        yield f"PNG of depth {depth} and colour {colour}", body, broken
    yield "JPEG of a lossless kind", plain["JPEG"].replace(b"\xff\xc0", b"\xff\xc3", 1), broken
    yield "JPEG without its tables", plain["JPEG"].replace(b"\xff\xdb", b"\xff\xec"), broken
    yield "WEBP of noughts", riff((b"VP8L", b"\x2f" + (63 | 47 << 14).to_bytes(4, "little") + bytes(900))), broken
    yield "WEBP of noise", riff((b"VP8 ", plain["WEBP"][20:30] + random.Random(2).randbytes(900))), broken
    yield "WEBP with another canvas", riff(vp8x(2048, 2048), (b"VP8 ", plain["WEBP"][20:])), broken
    yield "WEBP without a picture", riff(vp8x(2048, 2048), (b"ICCP", bytes(9))), broken
