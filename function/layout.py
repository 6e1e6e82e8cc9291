"""Where everything lies in the image bucket."""

from __future__ import annotations

import hashlib
import re
from datetime import datetime
from typing import Final

from events.request import ObjectRef

CLAIMS: Final = "claims/"
DEAD: Final = "dead/"
FILES: Final = "files/"
IMAGES: Final = "images/"
RECORDS: Final = "records/"
RESULTS: Final = "results/"
TOLD: Final = "told/"

# Whatever lies here in the image bucket was written by us and is never a prompt.
OWN: Final = (CLAIMS, DEAD, FILES, IMAGES, RECORDS, RESULTS, TOLD)

# S3's limit on a key, and the limit of file-system-backed stores on each part of it, in bytes.
_LONGEST_KEY: Final = 1024
_LONGEST_PART: Final = 255
# What S3 lets a bucket be called, old ones included.
_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")


def record(key: str) -> str:
    return f"{RECORDS}{key}.json"


def claim(key: str, attempt: int) -> str:
    return f"{CLAIMS}{key}/{attempt}"


def image(key: str, index: int, suffix: str = "png", output: int = 0, prefix: str = IMAGES) -> str:
    """Picture `index` as its first file, or as the rendition `output`, below a prefix of the request's choice."""
    name = f"{index}-{output}" if output else f"{index}"
    return f"{prefix.rstrip('/')}/{key}/{name}.{suffix}"


def told(key: str) -> str:
    return f"{TOLD}{key}"


def dead(key: str, time: datetime) -> str:
    return f"{DEAD}{key}/{time:%Y%m%dT%H%M%S.%fZ}.json"


def file(key: str) -> str:
    return f"{FILES}{key}"


def result(ref: ObjectRef, index: int) -> str:
    """The result of prompt `index` of a dropped file, named after the file; hashed where no store would take that.

    What is too long is hashed, and what would lead out of `results/`: a request names its object as it likes.
    """
    bucket = ref.bucket if _BUCKET.fullmatch(ref.bucket) else _digest(ref.bucket)
    name = f"{RESULTS}{bucket}/{ref.key}.{index}.json"
    return name if _can_be_kept(name) else f"{RESULTS}{bucket}/{_digest(ref.key)}.{index}.json"


def _can_be_kept(name: str) -> bool:
    try:
        encoded = name.encode()
    except UnicodeEncodeError:
        return False
    parts = encoded.split(b"/")
    return (
        len(encoded) <= _LONGEST_KEY
        and max(map(len, parts)) <= _LONGEST_PART
        and {b".", b".."}.isdisjoint(parts)
        and 0 not in encoded
    )


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
