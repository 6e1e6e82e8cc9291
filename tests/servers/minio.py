"""MinIO, built by install_minio.sh, with its bucket notifications by webhook and to Kafka."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from function.demo.process import Child, free_ports
from function.demo.s3server import S3Server, ServerAbsent, Webhook

if TYPE_CHECKING:
    from mypy_boto3_s3.literals import EventType
    from mypy_boto3_s3.type_defs import QueueConfigurationTypeDef


@dataclass(frozen=True)
class KafkaTarget:
    """Where MinIO publishes its notifications: of objects in `buckets` whose keys begin with `prefix`."""

    bootstrap: str
    topic: str
    buckets: Sequence[str] = ("prompts",)
    prefix: str = ""


class Minio(S3Server):
    """A real MinIO on one drive.

    What it tells is queued on disk, as an operator would have it: the first try comes up to 3 s after the put, and
    every event is repeated every 3 s until the webhook answers 2xx, or until Kafka has it.
    """

    name = "MinIO"
    binary: ClassVar[Path] = Path(__file__).parents[2] / ".cache" / "bin" / "minio"
    # Not `s3:ObjectCreated:*`, which in MinIO also says that tags or retention were changed.
    events: ClassVar[list[EventType]] = [
        "s3:ObjectCreated:Put",
        "s3:ObjectCreated:Post",
        "s3:ObjectCreated:Copy",
        "s3:ObjectCreated:CompleteMultipartUpload",
    ]

    def __init__(
        self,
        folder: Path,
        buckets: Sequence[str] = (),
        webhook: Webhook | None = None,
        kafka: KafkaTarget | None = None,
    ) -> None:
        (port,) = free_ports(1)
        super().__init__(folder, port, buckets, webhook)
        self.kafka = kafka

    def create_bucket(self, bucket: str) -> None:
        """Creates a bucket unless it is there, with its notifications when the webhook or Kafka wants them."""
        super().create_bucket(bucket)
        targets = (("webhook", self.webhook), ("kafka", self.kafka))
        queues: list[QueueConfigurationTypeDef] = [
            {
                "QueueArn": f"arn:minio:sqs::DARKROOM:{kind}",
                "Events": self.events,
                "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": target.prefix}]}},
            }
            for kind, target in targets
            if target and bucket in target.buckets
        ]
        if queues:
            self.client.put_bucket_notification_configuration(
                Bucket=bucket, NotificationConfiguration={"QueueConfigurations": queues}
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
        if self.kafka:
            environment |= {
                "MINIO_NOTIFY_KAFKA_ENABLE_DARKROOM": "on",
                "MINIO_NOTIFY_KAFKA_BROKERS_DARKROOM": self.kafka.bootstrap,
                "MINIO_NOTIFY_KAFKA_TOPIC_DARKROOM": self.kafka.topic,
                "MINIO_NOTIFY_KAFKA_QUEUE_DIR_DARKROOM": str(self.folder / "kafka-queue"),
            }
        address = self.endpoint.removeprefix("http://")
        return self._spawn([self.binary, "server", "--address", address, "data"], environment)
