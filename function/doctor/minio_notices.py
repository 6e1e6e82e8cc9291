"""A bucket's notification rules at MinIO and RustFS, by MinIO's own client, which also knows its targets."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from function.doctor.notices import NotSet, Rule
from function.doctor.storage import Storage
from function.errors import AccessDenied, StoreDown
from function.extras import needs
from function.store.s3_codes import refusal

if TYPE_CHECKING:
    from minio import Minio
    from minio.notificationconfig import NotificationConfig


class MinioNotices:
    """As `minio` reads and writes them; every setting and credential is that of boto3."""

    def __init__(self, storage: Storage) -> None:
        needs("doctor", "minio")
        self._storage = storage

    def rules(self, bucket: str) -> list[Rule]:
        found = self._read(bucket)
        queues = [(queue.queue, queue) for queue in found.queue_config_list]
        topics = [(topic.topic, topic) for topic in found.topic_config_list]
        return [
            Rule(
                arn or "",
                frozenset(rule.events),
                (rule.prefix_filter_rule and rule.prefix_filter_rule.value) or "",
                (rule.suffix_filter_rule and rule.suffix_filter_rule.value) or "",
                rule.config_id or "",
            )
            for arn, rule in (*queues, *topics)
        ]

    def targets(self) -> Sequence[str]:
        """Only who may see the server's information is told."""
        from minio import MinioAdmin
        from minio.error import MinioAdminException
        from urllib3.exceptions import HTTPError

        admin = MinioAdmin(credentials=self._credentials, **self._where)
        try:
            told: list[str] = json.loads(admin.info()).get("sqsARN") or []
        except (MinioAdminException, HTTPError, ValueError):
            return ()
        return told

    def put(self, bucket: str, rule: Rule) -> None:
        from minio.error import S3Error
        from minio.notificationconfig import PrefixFilterRule, QueueConfig, SuffixFilterRule

        found = self._read(bucket)
        ours = QueueConfig(
            queue=rule.arn,
            events=sorted(rule.events),
            config_id=rule.id,
            prefix_filter_rule=PrefixFilterRule(rule.prefix) if rule.prefix else None,
            suffix_filter_rule=SuffixFilterRule(rule.suffix) if rule.suffix else None,
        )
        others = [queue for queue in found.queue_config_list if queue.config_id != rule.id]
        try:
            with self._translated(bucket, "s3:PutBucketNotification"):
                self._client.set_bucket_notification(bucket, replace(found, queue_config_list=[*others, ours]))
        except AccessDenied:
            raise
        except StoreDown as error:
            if not isinstance(error.__cause__, S3Error):
                raise
            raise NotSet(error.__cause__.message or str(error)) from error

    def _read(self, bucket: str) -> NotificationConfig:
        with self._translated(bucket, "s3:GetBucketNotification"):
            return self._client.get_bucket_notification(bucket)

    @contextmanager
    def _translated(self, bucket: str, needs: str) -> Iterator[None]:
        """As `function/store/__init__.py` has it for boto3's errors."""
        from minio.error import MinioException, S3Error
        from urllib3.exceptions import HTTPError

        try:
            yield
        except S3Error as error:
            raise refusal(error.code or "", bucket, needs, versioned=False) from error
        except (MinioException, HTTPError) as error:
            raise StoreDown(f"object storage does not answer: {type(error).__name__}") from error

    @cached_property
    def _client(self) -> Minio:
        from minio import Minio

        return Minio(credentials=self._credentials, **self._where)

    @property
    def _where(self) -> dict[str, Any]:
        from urllib3 import PoolManager

        meta = self._storage.client.meta
        url = urlsplit(meta.endpoint_url)
        return {
            "endpoint": url.netloc.rpartition("@")[2],
            "secure": url.scheme == "https",
            "region": meta.region_name,
            # Its own waits five minutes and repeats five times.
            "http_client": PoolManager(
                timeout=self._storage.answer, retries=False, ca_certs=os.environ.get("AWS_CA_BUNDLE") or None
            ),
        }

    @cached_property
    def _credentials(self) -> Any:
        from minio.credentials.providers import StaticProvider

        frozen = self._storage.client._get_credentials().get_frozen_credentials()  # noqa: SLF001  # as in function/store/__init__.py
        return StaticProvider(frozen.access_key, frozen.secret_key, frozen.token)
