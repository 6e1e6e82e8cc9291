"""A program: the render process of the tests on one of these stores, each of which misunderstands what it hears.

`python -m tests.faults.mutants NAME render`
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from events.envelope import encode_json
from function import layout, store
from function.errors import StoreDown
from function.store import S3Store, Stored
from function.store.s3_codes import Conflict


class Harmless(S3Store):
    """Misunderstands nothing, which shows that it is not the other program that is caught."""


class TakesConflictForExists(S3Store):
    """Two writers met, so the other one must have won."""

    def _create(self, asked: Mapping[str, Any]) -> bool:
        try:
            return super()._create(asked)
        except Conflict:
            return False


class TakesItsClaimForAnothers(S3Store):
    """Meets its own claim and does not know the owner."""

    def read(self, key: str, version: str | None = None, limit: int | None = None) -> Stored | None:
        stored = super().read(key, version, limit)
        if stored is None or not key.startswith(layout.CLAIMS):
            return stored
        return replace(stored, body=encode_json(json.loads(stored.body) | {"owner": "another"}))


class BlamesTheRequest(S3Store):
    """Counts what the store does to an attempt, by what stands below."""


class ReadsShort(S3Store):
    """Takes what arrived for all there is."""

    def read(self, key: str, version: str | None = None, limit: int | None = None) -> Stored | None:
        try:
            return super().read(key, version, limit)
        except StoreDown:
            whole = super().read(key, version, limit=0)
            return replace(whole, body=b"ha") if whole else None


if __name__ == "__main__":
    if sys.argv[1] == BlamesTheRequest.__name__:
        StoreDown.counts = True
    # Before anybody takes the name from there: whatever opens a bucket opens it so.
    vars(store)["S3Store"] = vars()[sys.argv[1]]
    from tests.drawing.__main__ import main

    main(sys.argv[2])
