"""Object storage: the port, and S3 behind it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, Protocol

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, ParamValidationError

from function.errors import AccessDenied, BucketMissing, StoreDown

JSON: Final = "application/json"
# Seven days, the longest that signature version 4 allows.
LONGEST_URL: Final = 604_800
_GONE: Final = frozenset({"404", "NoSuchKey", "NoSuchVersion"})
# What stores say of a name that no object of theirs can have.
_NEVER: Final = frozenset({"KeyTooLongError", "XMinioInvalidObjectName", "XMinioInvalidResourceName"})
_EXISTS: Final = frozenset({"412", "PreconditionFailed"})
_DENIED: Final = frozenset({"401", "403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch"})


@dataclass(frozen=True, slots=True)
class Listed:
    """An object as a listing names it."""

    key: str
    etag: str
    size: int
    modified: datetime


@dataclass(frozen=True, slots=True)
class Stored:
    """An object as read; `now` is the store's own clock at the time of reading."""

    body: bytes
    etag: str
    version: str | None
    modified: datetime
    now: datetime
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def age(self) -> float:
        """Seconds since the last write, by the store's clock, which has a resolution of one second."""
        return (self.now - self.modified).total_seconds()


class ObjectStore(Protocol):
    """One bucket. Every method raises `StoreDown` (or a kind of it) when the store does not do as asked."""

    @property
    def bucket(self) -> str: ...

    def create(
        self, key: str, body: bytes, content_type: str = JSON, metadata: Mapping[str, str] | None = None
    ) -> bool:
        """Create the object unless it exists; False if it does.

        After a lost answer the store may hold our own object and say that it exists: compare what is there.
        """

    def write(self, key: str, body: bytes, content_type: str = JSON) -> None:
        """Create or overwrite the object."""

    def read(self, key: str, version: str | None = None, limit: int | None = None) -> Stored | None:
        """The object, at most its first `limit` bytes, or None if it is not there."""

    def list(self, prefix: str) -> Iterator[Listed]:
        """All objects whose key begins with `prefix`, in the store's own order; SeaweedFS's is not that of the keys."""

    def delete(self, key: str) -> None:
        """Delete the object if it is there."""

    def presigned_url(self, key: str, seconds: int) -> tuple[str, int]:
        """A URL that reads the object without credentials, and for how many seconds, at most `seconds`."""


def s3_client(endpoint: str | None = None, *, attempts: int = 4, patience: float = 30, connections: int = 10) -> Any:
    """A client for the endpoint of the environment (AWS_ENDPOINT_URL_S3), or for `endpoint`.

    Attempts are few and `patience` (seconds without an answer) is short: the sender of the event repeats what we
    answer with 503. `StoreDown` where the environment cannot be used.
    """
    config = Config(
        # boto3 signs V2 by default for a custom endpoint, and V2 URLs can outlive every limit.
        signature_version="s3v4",
        retries={"mode": "standard", "total_max_attempts": attempts},
        connect_timeout=min(5, patience),
        read_timeout=patience,
        max_pool_connections=connections,
        # One header less to compute and to be misunderstood: our bodies carry their own sha256.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": "path" if endpoint else "auto"},
    )
    try:
        return boto3.client("s3", endpoint_url=endpoint, config=config)
    except (BotoCoreError, ValueError) as error:
        raise StoreDown(f"object storage is set up wrongly: {error}") from error


class S3Store:
    """A bucket of an S3 server."""

    def __init__(self, client: Any, bucket: str, public_client: Any | None = None) -> None:
        self.bucket = bucket
        self._client = client
        self._public_client = public_client or client

    def create(
        self, key: str, body: bytes, content_type: str = JSON, metadata: Mapping[str, str] | None = None
    ) -> bool:
        # put_object, never a transfer manager: conditional multipart uploads had several winners on some stores.
        try:
            with self._translated():
                self._client.put_object(
                    Bucket=self.bucket,
                    Key=key,
                    Body=body,
                    ContentType=content_type,
                    Metadata=dict(metadata or {}),
                    IfNoneMatch="*",
                )
        except _ExistsError:
            return False
        return True

    def write(self, key: str, body: bytes, content_type: str = JSON) -> None:
        with self._translated():
            self._client.put_object(Bucket=self.bucket, Key=key, Body=body, ContentType=content_type)

    def read(self, key: str, version: str | None = None, limit: int | None = None) -> Stored | None:
        which = {"VersionId": version} if version else {}
        try:
            with self._translated(versioned=bool(version)):
                answer = self._client.get_object(Bucket=self.bucket, Key=key, **which)
                with answer["Body"] as stream:
                    body: bytes = stream.read(limit)
        except (_GoneError, _NeverError):
            return None
        headers = answer["ResponseMetadata"]["HTTPHeaders"]
        if "date" not in headers:
            raise StoreDown("object storage sends no Date header, without which nobody knows which attempt is dead")
        return Stored(
            body=body,
            etag=answer["ETag"].strip('"'),
            version=answer.get("VersionId"),
            modified=answer["LastModified"],
            now=parsedate_to_datetime(headers["date"]),
            metadata=answer.get("Metadata", {}),
        )

    def list(self, prefix: str) -> Iterator[Listed]:
        with self._translated():
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix):
                for row in page.get("Contents", ()):
                    yield Listed(row["Key"], row["ETag"].strip('"'), row["Size"], row["LastModified"])

    def delete(self, key: str) -> None:
        with suppress(_GoneError), self._translated():
            self._client.delete_object(Bucket=self.bucket, Key=key)

    def presigned_url(self, key: str, seconds: int) -> tuple[str, int]:
        with self._translated():
            seconds = min(seconds, self._credentials_live())
            url: str = self._public_client.generate_presigned_url(
                "get_object", Params={"Bucket": self.bucket, "Key": key}, ExpiresIn=seconds
            )
        return url, seconds

    def _credentials_live(self) -> int:
        """Seconds until temporary credentials end, and with them every URL that they signed."""
        credentials = self._public_client._get_credentials()  # noqa: SLF001  # boto3 shows their end nowhere else
        credentials.get_frozen_credentials()
        ends = getattr(credentials, "_expiry_time", None)
        return max(1, int((ends - datetime.now(UTC)).total_seconds())) if ends else LONGEST_URL

    @contextmanager
    def _translated(self, *, versioned: bool = False) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            answer = f"object storage answered {code or 'with an error'} for bucket {self.bucket}"
            if code in _EXISTS:
                raise _ExistsError(answer) from error
            if code in _GONE:
                raise _GoneError(answer) from error
            if code in _NEVER or (versioned and code == "InvalidArgument"):
                raise _NeverError(answer) from error
            if code in _DENIED:
                raise AccessDenied(f"object storage denies access to bucket {self.bucket}: {code}") from error
            if code == "NoSuchBucket":
                raise BucketMissing(f"the bucket {self.bucket} does not exist") from error
            # 409 ConditionalRequestConflict is no "exists": two writers met, and either may have won.
            raise StoreDown(answer) from error
        except NoCredentialsError as error:
            raise AccessDenied("no credentials for object storage: set AWS_ACCESS_KEY_ID and its secret") from error
        except ParamValidationError as error:
            raise StoreDown(f"object storage knows no such name: {str(error).splitlines()[-1]}") from error
        except (BotoCoreError, OSError) as error:
            raise StoreDown(f"object storage does not answer: {type(error).__name__}") from error


class _ExistsError(StoreDown):
    """Where a create expects it, no trouble at all."""


class _GoneError(StoreDown):
    """Where a read or a delete expects it, no trouble at all."""


class _NeverError(StoreDown):
    """Where a read expects it, no trouble at all: nothing of this name can be there."""
