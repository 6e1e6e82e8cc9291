"""A queue that waits for every answer: nothing blocks it, the door is quick, and a killed door loses nothing."""

from __future__ import annotations

import itertools
import math
import os
import secrets
import signal
import statistics
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import urllib3

from function.demo.process import free_ports
from function.demo.s3server import S3Server, Webhook
from tests.darkroom import DarkroomProcess, eventually
from tests.intake.conftest import event_of
from tests.process.measure import allowance
from tests.receiver import Delivery, answering
from tests.servers.minio import Minio
from tests.stores import running

if TYPE_CHECKING:
    from mypy_boto3_s3.literals import EventType

BUCKETS = ("prompts", "others")
TOKEN = secrets.token_hex(16)
KILLED_AT = 60  # announcements
QUICK = 0.05  # seconds

PROMPTS = [f"in/{number:03}.json" for number in range(150)]
IGNORED = [
    *(("prompts", f"in/folder-{number}/") for number in range(10)),
    *(("prompts", f"in/{number}.txt") for number in range(10)),
    *(("prompts", f"elsewhere/{number}.json") for number in range(5)),
    *(("others", f"in/{number}.json") for number in range(10)),
]
TAGGED, REMOVED = PROMPTS[:10], [key for _, key in IGNORED[10:15]]

MALFORMED: list[tuple[bytes, dict[str, str]]] = [
    (b"", {}),
    (b"{", {"Content-Type": "application/json"}),
    (b"\xff\xfe{}", {"Content-Type": "application/json"}),
    (b"[" * 100_000, {"Content-Type": "application/json"}),
    (b'{"Records": [{"eventName": "s3:ObjectCreated:Put", "s3": {"object": {"key": 7}}}]}', {}),
    (b'{"Records": "none"}', {"Content-Type": "application/json"}),
    (b'{"event_type": "create", "key": 7, "message": null}', {"Content-Type": "application/json"}),
    (b'{"specversion": "1.0"}', {"Content-Type": "application/cloudevents+json"}),
    (b"[{}]", {"Content-Type": "application/cloudevents-batch+json"}),
    (b"{}", {"ce-specversion": "1.0", "ce-type": "dev.darkroom.prompts.dropped"}),
]


@dataclass
class Relay:
    """Hands every POST on to the door and keeps how long the answer took; where there is none, it hangs up."""

    door: str
    answers: list[tuple[int, float]] = field(default_factory=list)
    cut: int = 0
    http: urllib3.PoolManager = field(default_factory=lambda: urllib3.PoolManager(retries=False, timeout=60))

    def __call__(self, delivery: Delivery) -> int | None:
        headers = {name: value for name, value in delivery.headers.items() if name not in ("host", "connection")}
        began = time.perf_counter()
        try:
            answer = self.http.request("POST", self.door, body=delivery.body, headers=headers)
        except urllib3.exceptions.HTTPError:
            self.cut += 1
            return None
        self.answers.append((answer.status, time.perf_counter() - began))
        return answer.status


@dataclass
class Sink:
    """Keeps what is announced, and ends the process `pid` when that has announced enough, before it can say so."""

    told: list[dict[str, Any]] = field(default_factory=list)
    pid: int = 0

    def __call__(self, delivery: Delivery) -> int:
        self.told.append(event_of(delivery))
        if self.pid and len(self.told) == KILLED_AT:
            os.kill(self.pid, signal.SIGKILL)
        return 202

    @property
    def keys(self) -> set[str]:
        return {event["data"]["object"]["key"] for event in self.told}


class Telling(Minio):
    """A MinIO that tells of everything, as operators have it do."""

    events: ClassVar[list[EventType]] = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]


def drop_everything(server: S3Server) -> None:
    """200 things that MinIO tells of, in turn: three prompts, then one of those that the door ignores."""
    prompts = iter(PROMPTS)
    for bucket, key in IGNORED:
        for prompt in itertools.islice(prompts, 3):
            server.client.put_object(Bucket="prompts", Key=prompt, Body=b"{}")
        server.client.put_object(Bucket=bucket, Key=key, Body=b"")
    for prompt in prompts:
        server.client.put_object(Bucket="prompts", Key=prompt, Body=b"{}")
    for key in TAGGED:
        server.client.put_object_tagging(Bucket="prompts", Key=key, Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    for key in REMOVED:
        server.client.delete_object(Bucket="prompts", Key=key)


def test_nothing_blocks_the_queue_and_a_killed_door_loses_nothing(tmp_path: Path) -> None:
    assert len(IGNORED) + len(TAGGED) + len(REMOVED) == 50
    door_port, relay_port, sink_port = free_ports(3)
    relay, sink = Relay(f"http://127.0.0.1:{door_port}/drop"), Sink()
    webhook = Webhook(f"http://127.0.0.1:{relay_port}/drop", TOKEN, BUCKETS)
    minio = Telling(tmp_path / "s3", [*BUCKETS, "images"], webhook)
    settings = {
        "DARKROOM_PROMPT_BUCKETS": "prompts",
        "DARKROOM_PROMPT_PREFIX": "in/",
        "DARKROOM_PROMPT_SUFFIX": ".json",
        "DARKROOM_DOOR_TOKEN": TOKEN,
        "K_SINK": f"http://127.0.0.1:{sink_port}/",
    }
    with ExitStack() as stack:
        stack.enter_context(answering(sink_port, sink))
        stack.enter_context(answering(relay_port, relay))
        server = stack.enter_context(contextmanager(running)(minio))
        first = stack.enter_context(DarkroomProcess("intake", server, tmp_path, settings, port=door_port)).wait_ready()
        sink.pid = first.pid
        drop_everything(server)
        assert first.wait_exit(60) == -signal.SIGKILL
        eventually(lambda: relay.cut >= 2, "MinIO tries again while nobody is there")

        stack.enter_context(DarkroomProcess("intake", server, tmp_path, settings, port=door_port)).wait_ready()
        for body, headers in MALFORMED:
            sent = headers | {"Authorization": f"Bearer {TOKEN}"}
            assert relay.http.request("POST", webhook.url, body=body, headers=sent).status == 204
        queued = tmp_path / "s3" / "queue"
        eventually(lambda: not list(queued.rglob("*.event")), "MinIO's queue is empty", 120)

    assert sink.keys == set(PROMPTS)
    assert len({event["id"] for event in sink.told}) == len(PROMPTS)
    assert Counter(status for status, _ in relay.answers) == {202: 150, 204: 60}
    seconds = sorted(took for _, took in relay.answers)
    p99 = seconds[math.ceil(0.99 * len(seconds)) - 1]
    shown = ", ".join(f"{took * 1e3:.1f} ms" for took in (statistics.median(seconds), p99, seconds[-1]))
    print(f"{len(seconds)} answers of the door, median, p99 and slowest: {shown}; {relay.cut} tries met none")
    assert p99 < QUICK * allowance()
