"""Object storage as the examinations share it: a client that is not patient, and which server answers it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from function.config import Settings
from function.doctor.finding import ANSWER, Unseen
from function.errors import AccessDenied, BucketMissing, StoreDown

if TYPE_CHECKING:
    from function.store import S3Store

Kind = Literal["aws", "ceph", "minio", "rustfs", "seaweedfs", "other"]


class Storage:
    """The object storage of the environment, which has `answer` seconds for each answer."""

    def __init__(self, settings: Settings, answer: float = ANSWER) -> None:
        self._settings = settings
        self.answer = answer

    @cached_property
    def client(self) -> Any:
        from function.store import s3_client

        return s3_client(attempts=1, patience=self.answer)

    @property
    def usable(self) -> bool:
        """Whether there is a client at all, with the settings as they are."""
        try:
            return self.client is not None
        except StoreDown:
            return False

    @property
    def where(self) -> str:
        """Its address, without what may be secret in it."""
        parts = urlsplit(self.client.meta.endpoint_url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"

    def bucket(self, name: str) -> S3Store:
        from function.store import S3Store

        return S3Store(self.client, name)

    @cached_property
    def trouble(self) -> StoreDown | None:
        """What keeps these credentials from being answered at all; whether they may do anything is not asked."""
        try:
            next(self.bucket(self._settings.image_bucket).list("claims/"), None)
        except BucketMissing:
            return None
        except AccessDenied as denied:
            return None if code_of(denied.__cause__) in ("403", "AccessDenied") else denied
        except StoreDown as error:
            return error
        return None

    def require(self) -> None:
        """`Unseen` if the storage is away; examinations that need it say so at once instead of waiting once more."""
        if self.trouble:
            raise Unseen("object storage is away; see store")

    @cached_property
    def kind(self) -> Kind:
        """Which server it is, by how it answers."""
        host = urlsplit(self.client.meta.endpoint_url).hostname or ""
        if host.endswith((".amazonaws.com", ".amazonaws.com.cn")):
            return "aws"
        try:
            answer = self.client.head_bucket(Bucket=self._settings.image_bucket)
        except self.client.exceptions.ClientError as error:
            answer = error.response
        headers = answer["ResponseMetadata"]["HTTPHeaders"]
        server = headers.get("server", "").lower()
        for kind in ("minio", "rustfs", "seaweedfs", "ceph"):
            if kind in server:
                return kind
        # Ceph's ids of requests look like nobody else's, and it did not always name itself.
        return "ceph" if headers.get("x-amz-request-id", "").startswith("tx0") else "other"

    @contextmanager
    def translated(self, bucket: str, needs: str) -> Iterator[None]:
        """The errors of calls that `S3Store` has no method for, as it would raise them."""
        with self.bucket(bucket)._translated(needs):  # noqa: SLF001  # whatever it is about, it is said in one way
            yield


def code_of(error: BaseException | None) -> str:
    """The code in what boto3 raised; its classes are made at run time, and only `function/store` may import them."""
    # None where a connection ended without an answer.
    response = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))
