"""What the error codes of S3 servers mean to us."""

from __future__ import annotations

from typing import Final

from function.errors import AccessDenied, BucketMissing, StoreDown


class Exists(StoreDown):
    """Where a create expects it, no trouble at all."""


class Conflict(StoreDown):
    """Two writers met and either may have won: neither "created" nor "exists"."""


class Gone(StoreDown):
    """Where a read or a delete expects it, no trouble at all."""


class Never(StoreDown):
    """Where a read expects it, no trouble at all: nothing of this name can be there."""


_STRANGER: Final = frozenset({"401", "InvalidAccessKeyId", "SignatureDoesNotMatch"})
_DENIED: Final = frozenset({"403", "AccessDenied"})
# A code that is a number is the status of an answer without a body.
_MEANINGS: Final[dict[type[StoreDown], frozenset[str]]] = {
    Exists: frozenset({"412", "PreconditionFailed"}),
    Conflict: frozenset({"409", "ConditionalRequestConflict"}),
    Gone: frozenset({"404", "NoSuchKey", "NoSuchVersion"}),
    Never: frozenset({"KeyTooLongError", "XMinioInvalidObjectName", "XMinioInvalidResourceName"}),
}


def refusal(code: str, bucket: str, needs: str, *, versioned: bool) -> StoreDown:
    """The error that `code` stands for, where `needs` was needed and, if `versioned`, a version was named."""
    if code == "NoSuchBucket":
        return BucketMissing(f"the bucket {bucket} does not exist")
    denied = f"object storage denies access to bucket {bucket}: {code}; "
    if code in _STRANGER:
        return AccessDenied(denied + "check AWS_ACCESS_KEY_ID and its secret")
    if code in _DENIED:
        # Only who may list a bucket is told that a key is missing.
        missing = ", without which S3 answers so for what is missing" if "ListBucket" in needs else ""
        return AccessDenied(f"{denied}grant {needs}{missing}")
    if versioned and code == "InvalidArgument":
        return Never()
    kind = next((kind for kind, codes in _MEANINGS.items() if code in codes), StoreDown)
    return kind(f"object storage answered {code or 'with an error'} for bucket {bucket}")
