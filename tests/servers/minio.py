"""MinIO, built by install_minio.sh, with its bucket notifications by webhook."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from function.demo.process import Child, free_ports
from function.demo.s3server import S3Server, ServerAbsent, Webhook

if TYPE_CHECKING:
    from mypy_boto3_s3.literals import EventType
    from mypy_boto3_s3.type_defs import QueueConfigurationTypeDef

# Not `s3:ObjectCreated:*`, which in MinIO also says that tags or retention were changed.
_CREATED: list[EventType] = [
    "s3:ObjectCreated:Put",
    "s3:ObjectCreated:Post",
    "s3:ObjectCreated:Copy",
    "s3:ObjectCreated:CompleteMultipartUpload",
]


class Minio(S3Server):
    """A real MinIO on one drive.

    Its webhook is queued on disk, as an operator would have it: the first try comes up to 3 s after the put, and every
    event is repeated every 3 s until it is answered 2xx.
    """

    name = "MinIO"
    binary: ClassVar[Path] = Path(__file__).parents[2] / ".cache" / "bin" / "minio"

    def __init__(self, folder: Path, buckets: Sequence[str] = (), webhook: Webhook | None = None) -> None:
        (port,) = free_ports(1)
        super().__init__(folder, port, buckets, webhook)

    def create_bucket(self, bucket: str) -> None:
        """Creates a bucket unless it is there, with its notifications when the webhook wants them."""
        super().create_bucket(bucket)
        if self.webhook and bucket in self.webhook.buckets:
            queue: QueueConfigurationTypeDef = {
                "QueueArn": "arn:minio:sqs::DARKROOM:webhook",
                "Events": _CREATED,
                "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": self.webhook.prefix}]}},
            }
            self.client.put_bucket_notification_configuration(
                Bucket=bucket, NotificationConfiguration={"QueueConfigurations": [queue]}
            )

    def _launch(self) -> Child:
        if not self.binary.is_file():
            raise ServerAbsent(f"MinIO is not at {self.binary}: with Go installed, run tests/servers/install_minio.sh")
        environment = {
            "MINIO_ROOT_USER": self.access_key,
            "MINIO_ROOT_PASSWORD": self.secret_key,
            "MINIO_BROWSER": "off",
            "MINIO_API_SYNC_EVENTS": "on",  # an event is on disk before its put is answered
        }
        if self.webhook:
            environment |= {
                "MINIO_NOTIFY_WEBHOOK_ENABLE_DARKROOM": "on",
                "MINIO_NOTIFY_WEBHOOK_ENDPOINT_DARKROOM": self.webhook.url,
                "MINIO_NOTIFY_WEBHOOK_AUTH_TOKEN_DARKROOM": self.webhook.token,
                "MINIO_NOTIFY_WEBHOOK_QUEUE_DIR_DARKROOM": str(self.folder / "queue"),
            }
        address = self.endpoint.removeprefix("http://")
        return self._spawn([self.binary, "server", "--address", address, "data"], environment)
