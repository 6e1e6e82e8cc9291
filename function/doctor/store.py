"""Object storage: whether it answers, and whether it keeps the promises that the ledger stands on."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from function.config import Settings
from function.doctor.finding import Check, Finding
from function.doctor.rights import IDENTITIES
from function.doctor.storage import Storage

REACHABLE = Check(
    "store-reachable",
    "object storage answers, and knows the credentials",
    "set `AWS_ENDPOINT_URL_S3`, `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY` to what is right",
)
TRUTHFUL = Check(
    "store-truthful",
    "the image bucket keeps the six promises of `darkroom check-store`",
    "what the sentence says; then `darkroom check-store`",
)
_MARKS = {True: TRUTHFUL.ok, None: TRUTHFUL.unknown}


class Reachable:
    """The first question, on whose answer every other one about the store depends."""

    name = "store"
    checks = (REACHABLE,)
    seconds = 10.0

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def run(self) -> Iterator[Finding]:
        trouble = self._storage.trouble
        if trouble and not self._storage.usable:
            yield REACHABLE.wrong(str(trouble), "export AWS_ENDPOINT_URL_S3=http://host:9000  # yours")
        elif trouble:
            known = f"{trouble} ({self._storage.where})"
            look = f"curl --head {shlex.quote(self._storage.where)}"
            yield REACHABLE.wrong(known, f"{look}  # then set AWS_ENDPOINT_URL_S3 and the keys")
        else:
            yield REACHABLE.ok(f"object storage ({self._storage.kind}) answers at {self._storage.where}")


class Truthful:
    """What `darkroom check-store` finds."""

    name = "promises"
    checks = (TRUTHFUL,)
    # It waits two seconds for the store's clock and writes some 800 objects.
    seconds = 120.0

    def __init__(self, storage: Storage, settings: Settings, identity: str) -> None:
        self._storage = storage
        self._settings = settings
        self._identity = identity

    def run(self) -> Iterator[Finding]:
        if not IDENTITIES[self._identity].checks:
            yield TRUTHFUL.skipped(f"{self._identity} need not write and delete what the check writes; operator may")
            return
        self._storage.require()
        from function.bucket.image_bucket import check_image_store

        for promise in check_image_store(self._settings):
            if promise.kept is False:
                yield TRUTHFUL.wrong(str(promise), "darkroom check-store  # once that is done")
            else:
                yield _MARKS[promise.kept](str(promise))
