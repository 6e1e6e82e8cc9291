"""By what two prompts under one key are told apart."""

from __future__ import annotations

import hashlib
import json


def canonical(received: object) -> bytes:
    """The one spelling of a JSON value that is hashed: sorted keys, no spaces, UTF-8, defaults not filled in."""
    text = json.dumps(received, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8", "surrogatepass")


def prompt_hash(received: object) -> str:
    """The sha256, in hex, by which two prompts under one key are told apart."""
    return hashlib.sha256(canonical(received)).hexdigest()
