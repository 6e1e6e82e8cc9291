"""Whether objects may be written, tried with a body whose digest is wrong: who would take it keeps nothing of it."""

from __future__ import annotations

import base64
import hashlib
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from function.bucket.keeping import Keeping
from function.doctor.storage import Storage, code_of
from function.errors import AccessDenied, StoreDown

if TYPE_CHECKING:
    from function.store import S3Store

# No MD5 of what is sent with it: a store that lets us write refuses the body as damaged.
_ANOTHERS_MD5: Final = base64.b64encode(hashlib.md5(b"another", usedforsecurity=False).digest()).decode()


@dataclass(frozen=True, slots=True)
class Asking:
    """A setting, what it alone asks of each picture, and the right that it takes."""

    setting: str
    keeping: Keeping
    needs: str


class Writing:
    """What PutObject is answered in the image bucket, by itself and with what `keeping` asks of pictures."""

    def __init__(self, storage: Storage, store: S3Store, keeping: Keeping) -> None:
        self._storage = storage
        self._store = store
        self._keeping = keeping
        self.asking: tuple[Asking, ...] = ()
        if keeping.tags:
            tags = Keeping(keeping.destinations, tags=keeping.tags)
            self.asking += (Asking("DARKROOM_TAGS", tags, "s3:PutObjectTagging"),)
        if keeping.kms_key:
            key = Keeping(keeping.destinations, kms_key=keeping.kms_key)
            self.asking += (Asking("DARKROOM_SSE_KMS_KEY", key, "kms:GenerateDataKey and kms:Decrypt on that key"),)

    def below(self, prefix: str) -> None:
        """Raise why nothing may be written there; what `refused` names is none of that."""
        key = nobodys(prefix)
        needs = f"s3:PutObject below {prefix}"
        bare = self._refusal(key, {}, needs)
        if bare is None:
            return
        asked = self._keeping.asked_for(key)
        # A bucket's policy may want each picture as the settings do.
        if not (asked and self.asking and isinstance(bare, AccessDenied)):
            raise bare
        rights = ", ".join(one.needs for one in self.asking)
        whole = self._refusal(key, asked, f"{needs} and {rights}: objects are denied bare and as the settings ask")
        if whole and not self._blamed(key):
            raise whole

    def refused(self) -> list[tuple[Asking, StoreDown]]:
        """What is refused of that which the settings ask for, where it is not writing itself that is denied."""
        for prefix in self._keeping.prefixes:
            key = nobodys(prefix)
            whole = self._refusal(key, self._keeping.asked_for(key), f"s3:PutObject below {prefix}")
            if whole is None:
                continue
            if not (found := self._blamed(key)):
                raise whole
            return found
        return []

    def _blamed(self, key: str) -> list[tuple[Asking, StoreDown]]:
        """The settings for which the store does not take a picture, each with why; none where that cannot be told."""
        alone = [(one, self._refusal(key, one.keeping.asked_for(key), one.needs)) for one in self.asking]
        refused = [(one, error) for one, error in alone if error]
        if not refused or self._refusal(key, {}, "s3:PutObject") is None:
            return refused
        if len(refused) < len(alone):
            # What the bucket's policy wants is taken, so alone the others lack it, and say nothing of themselves.
            whole = self._keeping.asked_for(key)
            return [(one, error) for one, _ in refused if (error := self._refusal(key, whole, one.needs))]
        # Nothing is taken. Denied may be the policy's word on what is not there; another code is about what is.
        return [
            (one, error) for one, error in refused if not isinstance(error, AccessDenied) and code_of(error.__cause__)
        ]

    def _refusal(self, key: str, asked: Mapping[str, str], needs: str) -> StoreDown | None:
        """Why the store does not take the object with that beside its bytes; None where it would."""
        bucket = self._store.bucket
        try:
            with self._storage.translated(bucket, needs):
                self._storage.client.put_object(
                    Bucket=bucket, Key=key, Body=b"doctor", ContentMD5=_ANOTHERS_MD5, IfNoneMatch="*", **asked
                )
        except StoreDown as error:
            return None if code_of(error.__cause__) == "BadDigest" else error
        # Below records/ and images/ nobody may delete again, so nothing more is tried.
        with suppress(StoreDown):
            self._store.delete(key)
        prefix = key.rpartition("/")[0]
        raise StoreDown(
            f"bucket {bucket} took {key} with a wrong digest: below {prefix}/ may be written, and below other prefixes "
            "it is not tried, for it would stay"
        )


def nobodys(prefix: str) -> str:
    """A name that nothing has, below a prefix and no longer one that a policy makes an exception of."""
    return f"{prefix}doctor-{uuid.uuid4().hex}"
