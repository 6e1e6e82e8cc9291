"""Object storage: the port, and S3 behind it."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, Protocol

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, ParamValidationError
from urllib3.exceptions import HTTPError

from function.errors import AccessDenied, StoreDown
from function.store.s3_codes import Conflict, Exists, Gone, Never, refusal

JSON: Final = "application/json"
# Seven days, the longest that signature version 4 allows.
LONGEST_URL: Final = 604_800
_NEEDED: Final = ("Date", "Last-Modified", "ETag")
# Longest pauses in seconds of a create that meets another writer; all of them together are well below a beat.
_CONFLICT_PAUSES: Final = (0.05, 0.1, 0.2, 0.4)


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


def s3_client(endpoint: str | None = None, *, attempts: int = 4, patience: float = 10, connections: int = 10) -> Any:
    """A client for the endpoint of the environment (AWS_ENDPOINT_URL_S3), or for `endpoint`, with a bound on each call.

    A call gives up after `attempts` silences of `patience` seconds and, between them, boto3's pauses of at most
    1, 2 and 4 s: 47 s with the defaults (40 measured). A store that refuses connections costs only the pauses, and
    `SlowDown` those and what the store asks for itself, at most 5 s each. The sender of the event repeats what is
    answered with 503 then; several slow calls together may outlast Knative's timeout, and what is committed late is
    replayed.
    `StoreDown` where the environment cannot be used.
    """
    config = Config(
        # boto3 signs V2 by default for a custom endpoint, and V2 URLs can outlive every limit.
        signature_version="s3v4",
        # Repeats timeouts, resets, 500, 502, 503, 504 and SlowDown, but no 409; gives up early in a long outage.
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
        # Which every other SDK reads by itself; boto3 knows it only as AWS_DEFAULT_REGION, and from its own files.
        region = os.environ.get("AWS_REGION") or None
        return boto3.client("s3", endpoint_url=endpoint, region_name=region, config=config)
    except ValueError:
        # Not its text, and not as the cause: an endpoint may have a password in it.
        raise StoreDown("the S3 endpoint is no URL such as http://host:9000; set AWS_ENDPOINT_URL_S3") from None
    except BotoCoreError as error:
        raise StoreDown(f"object storage is set up wrongly: {error}") from error


def nothing_more(key: str) -> Mapping[str, str]:
    """What is asked for beside an object's bytes: nothing."""
    del key
    return {}


class S3Store:
    """A bucket of an S3 server; `asked_for(key)` is what PutObject is asked for as an object is created."""

    def __init__(
        self,
        client: Any,
        bucket: str,
        public_client: Any | None = None,
        asked_for: Callable[[str], Mapping[str, str]] = nothing_more,
    ) -> None:
        self.bucket = bucket
        self._client = client
        self._public_client = public_client or client
        self._asked_for = asked_for

    def create(
        self, key: str, body: bytes, content_type: str = JSON, metadata: Mapping[str, str] | None = None
    ) -> bool:
        asked = {"Key": key, "Body": body, "ContentType": content_type, "Metadata": dict(metadata or {})}
        asked |= self._asked_for(key)
        for longest in _CONFLICT_PAUSES:
            with suppress(Conflict):
                return self._create(asked)
            time.sleep(random.uniform(0, longest))  # noqa: S311  # no secret
        return self._create(asked)

    def _create(self, asked: Mapping[str, Any]) -> bool:
        try:
            # Never a transfer manager: conditional multipart uploads had several winners on some stores.
            with self._translated("s3:PutObject"):
                self._client.put_object(Bucket=self.bucket, IfNoneMatch="*", **asked)
        except Exists:
            return False
        return True

    def write(self, key: str, body: bytes, content_type: str = JSON) -> None:
        with self._translated("s3:PutObject"):
            self._client.put_object(Bucket=self.bucket, Key=key, Body=body, ContentType=content_type)

    def read(self, key: str, version: str | None = None, limit: int | None = None) -> Stored | None:
        which = {"VersionId": version} if version else {}
        try:
            with self._translated("s3:GetObject and s3:ListBucket", versioned=bool(version)):
                answer = self._client.get_object(Bucket=self.bucket, Key=key, **which)
                with answer["Body"] as stream:
                    body: bytes = stream.read(limit)
        except (Gone, Never):
            return None
        headers = answer["ResponseMetadata"]["HTTPHeaders"]
        size = int(headers.get("content-length", len(body)))
        if len(body) < (size if limit is None else min(size, limit)):
            raise StoreDown(f"object storage broke off an answer for bucket {self.bucket}")
        if missing := [name for name in _NEEDED if name.lower() not in headers]:
            raise StoreDown(
                f"object storage sends no {missing[0]} header, without which nobody knows what is dead or new"
            )
        try:
            now = parsedate_to_datetime(headers["date"])
        except ValueError as error:
            raise StoreDown("object storage sends a Date header that holds no date") from error
        return Stored(
            body=body,
            etag=answer["ETag"].strip('"'),
            version=answer.get("VersionId"),
            modified=answer["LastModified"],
            now=now,
            metadata=answer.get("Metadata", {}),
        )

    def list(self, prefix: str) -> Iterator[Listed]:
        with self._translated("s3:ListBucket"):
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix):
                for row in page.get("Contents", ()):
                    yield Listed(row["Key"], row["ETag"].strip('"'), row["Size"], row["LastModified"])

    def delete(self, key: str) -> None:
        with suppress(Gone), self._translated("s3:DeleteObject"):
            self._client.delete_object(Bucket=self.bucket, Key=key)

    def presigned_url(self, key: str, seconds: int) -> tuple[str, int]:
        with self._translated("s3:GetObject"):
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
    def _translated(self, needs: str, *, versioned: bool = False) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            raise refusal(code, self.bucket, needs, versioned=versioned) from error
        except NoCredentialsError as error:
            raise AccessDenied("no credentials for object storage: set AWS_ACCESS_KEY_ID and its secret") from error
        except ParamValidationError as error:
            raise StoreDown(f"object storage knows no such name: {str(error).splitlines()[-1]}") from error
        except (BotoCoreError, HTTPError, OSError) as error:
            raise StoreDown(f"object storage does not answer: {type(error).__name__}") from error
