"""Where everything lies in the image bucket."""

from __future__ import annotations

import hashlib
from typing import Final

from events.request import ObjectRef

CLAIMS: Final = "claims/"
FILES: Final = "files/"
IMAGES: Final = "images/"
RECORDS: Final = "records/"
RESULTS: Final = "results/"
TOLD: Final = "told/"

# Whatever lies here in the image bucket was written by us and is never a prompt.
OWN: Final = (CLAIMS, FILES, IMAGES, RECORDS, RESULTS, TOLD)

# S3's limit on a key, and the limit of file-system-backed stores on each part of it, in bytes.
_LONGEST_KEY: Final = 1024
_LONGEST_PART: Final = 255


def record(key: str) -> str:
    return f"{RECORDS}{key}.json"


def claim(key: str, attempt: int) -> str:
    return f"{CLAIMS}{key}/{attempt}"


def image(key: str, index: int) -> str:
    return f"{IMAGES}{key}/{index}.png"


def told(key: str) -> str:
    return f"{TOLD}{key}"


def file(key: str) -> str:
    return f"{FILES}{key}"


def result(ref: ObjectRef, index: int) -> str:
    """The result of prompt `index` of a dropped file, beside the file's own name; hashed where that is too long."""
    name = f"{RESULTS}{ref.bucket}/{ref.key}.{index}.json"
    encoded = name.encode("utf-8", "surrogatepass")
    if len(encoded) > _LONGEST_KEY or max(map(len, encoded.split(b"/"))) > _LONGEST_PART:
        digest = hashlib.sha256(ref.key.encode("utf-8", "surrogatepass")).hexdigest()
        return f"{RESULTS}{ref.bucket}/{digest}.{index}.json"
    return name
