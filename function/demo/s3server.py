"""What every embedded S3 server has in common: an address, keys, buckets, and a life between start and stop."""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar, Self

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from function.demo.process import Child

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_REGION = "us-east-1"


class ServerAbsent(RuntimeError):
    """The server's program is not on this machine; the message says how to get it."""


@dataclass(frozen=True)
class Webhook:
    """Where a server POSTs its notifications: of objects in `buckets` whose keys begin with `prefix`."""

    url: str
    token: str
    buckets: Sequence[str] = ("prompts",)
    prefix: str = ""


class S3Server(ABC):
    """A real S3 server on 127.0.0.1, a child process that keeps all its files in `folder`.

    Address and keys are known before it starts and stay the same when it is stopped and started again.
    Start it from a thread that outlives it.
    """

    name: ClassVar[str]
    patience: ClassVar[float] = 90  # seconds to become ready: 34 were measured on a loaded machine
    grace: ClassVar[float] = 10  # seconds between SIGTERM and SIGKILL

    def __init__(self, folder: Path, port: int, buckets: Sequence[str], webhook: Webhook | None) -> None:
        self.folder = folder.resolve()
        self.buckets = tuple(buckets)
        self.webhook = webhook
        self.endpoint = f"http://127.0.0.1:{port}"
        self.access_key = secrets.token_hex(8)
        self.secret_key = secrets.token_hex(20)
        self._child: Child | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What another process needs in its environment for boto3 to use this server."""
        return {
            "AWS_ENDPOINT_URL_S3": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": _REGION,
        }

    @property
    def pid(self) -> int | None:
        """The id of the server's process while there is one."""
        return self._child.pid if self._child else None

    @cached_property
    def client(self) -> S3Client:
        """A boto3 client with the server's own keys, which neither retries nor goes through a proxy."""
        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name=_REGION,
            config=Config(
                signature_version="s3v4",
                connect_timeout=2,
                read_timeout=20,
                retries={"total_max_attempts": 1},
                proxies={},
            ),
        )

    def start(self) -> None:
        """Starts the server and returns when it stores and returns objects and has its buckets."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._child = self._launch()
        try:
            self._child.wait_until_ready(
                self._store_and_read, seconds=self.patience, retry_on=(BotoCoreError, ClientError)
            )
            for bucket in self.buckets:
                self.create_bucket(bucket)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Ends the server's process; its files stay."""
        if self._child:
            self._child.stop(self.grace)
            self._child = None

    def create_bucket(self, bucket: str) -> None:
        """Creates a bucket unless it is there."""
        with suppress(self.client.exceptions.BucketAlreadyOwnedByYou):
            self.client.create_bucket(Bucket=bucket)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @abstractmethod
    def _launch(self) -> Child: ...

    def _spawn(self, command: Sequence[str | Path], environment: Mapping[str, str]) -> Child:
        # Nothing else of our environment: AWS keys, proxies and configuration in the user's home would all be obeyed.
        return Child(
            self.name,
            command,
            folder=self.folder,
            log=self.folder / f"{self.name.lower()}.log",
            environment={"HOME": str(self.folder), **environment},
        )

    def _store_and_read(self) -> None:
        # In a bucket of its own: a put into one of the others could call the webhook.
        bucket, key = "ready-probe", "probe"
        self.create_bucket(bucket)
        self.client.put_object(Bucket=bucket, Key=key, Body=b"ready")
        self.client.get_object(Bucket=bucket, Key=key)["Body"].read()
        self.client.delete_object(Bucket=bucket, Key=key)
        self.client.delete_bucket(Bucket=bucket)
