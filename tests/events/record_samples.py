"""Records what real MinIO and SeaweedFS say of puts, tags and removals, and what Kafka makes of it, into samples/.

Run it once for each new version of a server: `python -m tests.events.record_samples`. Each case keeps the POSTed bodies
as they came, and beside them the objects that the S3 API itself shows afterwards, which no decoder had a hand in.
"""

from __future__ import annotations

import json
import queue
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import quote, urlencode

from events import IMAGE_REQUESTED
from function.demo.process import free_ports
from function.demo.s3server import S3Server, Webhook
from function.demo.seaweedfs import SeaweedFS
from tests.kafka.route import Route, as_record, new_topic, publish, route
from tests.receiver import Delivery, receiver
from tests.servers.kafka import Kafka
from tests.servers.kafkasource import Record
from tests.servers.minio import KafkaTarget, Minio

if TYPE_CHECKING:
    from mypy_boto3_s3.literals import EventType

SAMPLES: Final = Path(__file__).parent / "samples"
PLAIN, VERSIONED = "prompts", "versioned"
QUIET: Final = 6.0  # seconds after which nothing more is expected: MinIO's queue is looked at every 3 s
PART: Final = 5 << 20
BODY: Final = b'{"prompt": "a red star"}'

KEYS: Final = {
    "a plain name": "red.json",
    "folders": "in/deep/red.json",
    "a space": "a red star.json",
    "a plus": "a+b.json",
    "an encoded letter": "%41.json",
    "signs of a query": "a&b=c?d#e.json",
    "a newline": "a\nb.json",
    "an accent in one": "caf\u00e9.json",
    "an accent in two": "cafe\u0301.json",
    "a line separator and quotes": "a\u2028\"b'<c>.json",
    "no letters of Latin": "\u8d64\u3044\u661f \U0001f31f.json",
    "900 bytes": "/".join(["\u00e9" * 112] * 3 + ["x" * 220 + ".json"]),
}


class Recorder:
    """Does something to a server, and keeps what its webhook says of it."""

    def __init__(self, server: S3Server, deliveries: queue.Queue[Delivery]) -> None:
        self.server = server
        self.s3 = server.client
        self._deliveries = deliveries
        self.cases: list[dict[str, Any]] = []

    def record(self, what: str, act: Callable[[], object], *created: tuple[str, str]) -> None:
        """`created` names the objects (bucket, key) that a reader should be told of."""
        act()
        messages = list(self.heard())
        self.cases.append({"what": what, "created": [self._shown(*name) for name in created], "messages": messages})
        print(f"{self.server.name}: {what}: {len(messages)}")

    def heard(self) -> Iterator[Any]:
        """What has been said until it was quiet for a while."""
        while True:
            try:
                yield json.loads(self._deliveries.get(timeout=QUIET).body)
            except queue.Empty:
                return

    def _shown(self, bucket: str, key: str) -> dict[str, Any]:
        """The object as the S3 API shows it, etag and version unchanged."""
        head = self.s3.head_object(Bucket=bucket, Key=key)
        listed = [row for row in self.s3.list_objects_v2(Bucket=bucket)["Contents"] if row["Key"] == key]
        shown = {"bucket": bucket, "key": key, "etag": listed[0]["ETag"], "size": head["ContentLength"]}
        version = dict(head).get("VersionId")  # only where the bucket keeps versions, whatever its type says
        return shown | ({"version": version} if version else {})


def puts(recorder: Recorder) -> None:
    """Objects that come into being or get new content."""
    s3 = recorder.s3
    for what, key in KEYS.items():
        recorder.record(what, partial(s3.put_object, Bucket=PLAIN, Key=key, Body=BODY), (PLAIN, key))
    recorder.record(
        "no content", lambda: s3.put_object(Bucket=PLAIN, Key="empty.json", Body=b""), (PLAIN, "empty.json")
    )
    recorder.record("new content", lambda: s3.put_object(Bucket=PLAIN, Key="red.json", Body=b"{}"), (PLAIN, "red.json"))
    recorder.record(
        "a copy",
        lambda: s3.copy_object(Bucket=PLAIN, Key="copy.json", CopySource={"Bucket": PLAIN, "Key": "red.json"}),
        (PLAIN, "copy.json"),
    )
    recorder.record("an upload in two parts", lambda: upload(recorder, "parts.json"), (PLAIN, "parts.json"))


def upload(recorder: Recorder, key: str) -> None:
    """A multipart upload."""
    s3 = recorder.s3
    upload_id = s3.create_multipart_upload(Bucket=PLAIN, Key=key)["UploadId"]
    bodies = enumerate((b"x" * PART, b"y"), 1)
    tags = [
        (n, s3.upload_part(Bucket=PLAIN, Key=key, UploadId=upload_id, PartNumber=n, Body=body)["ETag"])
        for n, body in bodies
    ]
    parts = [{"PartNumber": n, "ETag": etag} for n, etag in tags]
    s3.complete_multipart_upload(Bucket=PLAIN, Key=key, UploadId=upload_id, MultipartUpload={"Parts": parts})  # type: ignore[typeddict-item]


def nothings(recorder: Recorder) -> None:
    """What brings no new content."""
    s3 = recorder.s3
    tags: Any = {"TagSet": [{"Key": "team", "Value": "a"}]}
    recorder.record("a folder", lambda: s3.put_object(Bucket=PLAIN, Key="folder/", Body=b""))
    recorder.record("new tags", lambda: s3.put_object_tagging(Bucket=PLAIN, Key="red.json", Tagging=tags))
    recorder.record("no tags any more", lambda: s3.delete_object_tagging(Bucket=PLAIN, Key="red.json"))
    recorder.record(
        "new tags without content", lambda: s3.put_object_tagging(Bucket=PLAIN, Key="empty.json", Tagging=tags)
    )
    recorder.record("a removal", lambda: s3.delete_object(Bucket=PLAIN, Key="red.json"))
    recorder.record("a removal of nothing", lambda: s3.delete_object(Bucket=PLAIN, Key="never.json"))


def versions(recorder: Recorder) -> None:
    """A bucket that keeps versions, and then does not any more."""
    s3, name = recorder.s3, (VERSIONED, "in/red.json")
    s3.put_bucket_versioning(Bucket=VERSIONED, VersioningConfiguration={"Status": "Enabled"})
    recorder.record("a first version", lambda: s3.put_object(Bucket=name[0], Key=name[1], Body=BODY), name)
    recorder.record("a second version", lambda: s3.put_object(Bucket=name[0], Key=name[1], Body=b"{}"), name)
    recorder.record("a delete marker", lambda: s3.delete_object(Bucket=name[0], Key=name[1]))
    s3.put_bucket_versioning(Bucket=VERSIONED, VersioningConfiguration={"Status": "Suspended"})
    recorder.record("versions suspended", lambda: s3.put_object(Bucket=name[0], Key=name[1], Body=BODY), name)


class AllOfMinio(Minio):
    """MinIO that also tells of tags and removals."""

    events: ClassVar[list[EventType]] = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]


class AllOfSeaweedFS(SeaweedFS):
    """SeaweedFS that also tells of removals."""

    def _write(self, name: str, text: str) -> None:
        super()._write(name, text.replace('"rename"]', '"rename", "delete"]'))

    def rename(self, bucket: str, old: str, new: str) -> None:
        """Through the filer, since S3 knows no such thing."""
        query = urlencode({"mv.from": f"/buckets/{bucket}/{old}"})
        filer = f"http://127.0.0.1:{self._ports['filer']}/buckets/{bucket}/{quote(new)}?{query}"
        urllib.request.urlopen(urllib.request.Request(filer, method="POST"), timeout=10).close()


def everything(recorder: Recorder) -> None:
    """Every case that both servers know."""
    puts(recorder)
    nothings(recorder)
    versions(recorder)
    server = recorder.server
    if isinstance(server, AllOfSeaweedFS):
        recorder.record("a rename", lambda: server.rename(PLAIN, "copy.json", "renamed.json"), (PLAIN, "renamed.json"))


@contextmanager
def recording(kind: type[AllOfMinio | AllOfSeaweedFS]) -> Iterator[Recorder]:
    """A server with its webhook heard."""
    (port,) = free_ports(1)
    webhook = Webhook(f"http://127.0.0.1:{port}/drop", "a-token", [PLAIN, VERSIONED])
    with (
        tempfile.TemporaryDirectory() as folder,
        receiver(port) as deliveries,
        kind(Path(folder), [PLAIN, VERSIONED], webhook) as server,
    ):
        recorder = Recorder(server, deliveries)
        recorder.record("the buckets themselves", lambda: None)
        yield recorder


class KafkaRecorder(Recorder):
    """Hears of a MinIO what a KafkaSource sends of the records in its topic."""

    def __init__(self, server: S3Server, way: Route) -> None:
        super().__init__(server, way.deliveries)
        self._way = way

    def heard(self) -> Iterator[Any]:
        yield from passed(self._way)


def passed(way: Route) -> Iterator[dict[str, Any]]:
    """Each record of a topic with the request that it became, until it is quiet; what was lost has no request.

    A value that became the body unchanged is there once.
    """
    while True:
        try:
            settled, delivery = way.next(QUIET)
        except queue.Empty:
            return
        message: dict[str, Any] = {"record": shown_record(settled.record)}
        if delivery:
            message |= {"headers": dict(delivery.headers), "body": delivery.body.decode()}
            if delivery.body == settled.record.value:
                del message["record"]["value"]
        yield message


def shown_record(record: Record) -> dict[str, Any]:
    """The record, with its bytes as text."""
    key, value = (None if part is None else part.decode() for part in (record.key, record.value))
    headers = [(name, None if part is None else part.decode()) for name, part in record.headers]
    return {**vars(record), "key": key, "headers": headers, "value": value}


def from_kafka() -> list[dict[str, Any]]:
    """What MinIO tells Kafka, and what else a topic may hold, as KafkaSources send it."""
    with tempfile.TemporaryDirectory() as folder, Kafka(Path(folder, "kafka")) as kafka:
        target = KafkaTarget(kafka.bootstrap, new_topic("minio"), [PLAIN, VERSIONED])
        with (
            AllOfMinio(Path(folder, "minio"), [PLAIN, VERSIONED], kafka=target) as server,
            route(kafka.bootstrap, target.topic, key_type="byte-array") as way,
        ):
            recorder = KafkaRecorder(server, way)
            everything(recorder)
        with route(kafka.bootstrap, target.topic) as way:
            texts = list(passed(way))
        return recorder.cases + keys_as_text(recorder.cases, texts) + published(kafka)


def keys_as_text(cases: list[dict[str, Any]], messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The cases again, with what a KafkaSource without a key type sends; those that it loses are left out."""
    by_offset = {message["record"]["offset"]: message for message in messages if "headers" in message}
    again = ((case, [by_offset.get(message["record"]["offset"]) for message in case["messages"]]) for case in cases)
    return [
        case | {"what": f"{case['what']}, its key as text", "messages": messages}
        for case, messages in again
        if case["created"] and all(messages)
    ]


def published(kafka: Kafka) -> list[dict[str, Any]]:
    """Prompts in plain records, and events in both modes."""
    prompt = {"prompt": "caf\u00e9, \u8d64\u3044\u661f \U0001f31f", "seed": 7}
    value = json.dumps(prompt, ensure_ascii=False).encode()
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": "one",
        "source": "/tests",
        "type": IMAGE_REQUESTED,
        "subject": "red 100% +.json",
    }
    event |= {"time": "2026-11-24T10:00:00.120Z", "partitionkey": "a-key", "correlationid": "all", "data": prompt}
    asks = {"source": "/tests", "id": "one", "received": prompt}
    records: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "a prompt": ({"value": value}, {"carried": [prompt]}),
        "a prompt with a key": ({"value": value, "key": "caf\u00e9"}, {"carried": [prompt]}),
        "a prompt with headers": (
            {"value": value, "headers": {"content-type": "application/json", "X-Team": "caf\u00e9"}},
            {"carried": [prompt]},
        ),
        "prompts": ({"value": json.dumps([prompt, prompt]).encode()}, {"carried": [[prompt, prompt]]}),
        "an event in binary mode": (as_record(event, "binary"), {"requests": [asks]}),
        "an event in structured mode": (as_record(event, "structured"), {"requests": [asks]}),
    }
    topic = new_topic()
    publish(kafka.bootstrap, topic, *(record for record, _ in records.values()))
    with route(kafka.bootstrap, topic) as way:
        messages = list(passed(way))
    return [
        {"what": what, "created": [], **truth, "messages": [message]}
        for (what, (_, truth)), message in zip(records.items(), messages, strict=True)
    ]


def main() -> None:
    """All of them, or those named."""
    kinds: dict[str, type[AllOfMinio | AllOfSeaweedFS]] = {"minio": AllOfMinio, "seaweedfs": AllOfSeaweedFS}
    for name in sys.argv[1:] or [*kinds, "kafkasource"]:
        if name == "kafkasource":
            cases = from_kafka()
        else:
            with recording(kinds[name]) as recorder:
                everything(recorder)
            cases = recorder.cases
        lines = ",\n".join(json.dumps(case) for case in cases)
        (SAMPLES / f"{name}.json").write_text(f"[\n{lines}\n]\n", encoding="ascii")


if __name__ == "__main__":
    main()
