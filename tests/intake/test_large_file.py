"""Files of 10,000 prompts through a real intake: every event, in order, in bounded memory, whatever it dies of."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import urllib3

from events import IMAGE_REQUESTED, PROMPTS_DROPPED
from events.request import ObjectRef, from_object
from function.config import Settings
from function.demo.process import free_ports
from function.demo.s3server import S3Server
from function.ledger import Ledger
from tests.contract.validate import validated
from tests.darkroom import DarkroomProcess, eventually
from tests.intake.lean_sink import LeanSink, lean_sink
from tests.intake.room import drawn
from tests.process.measure import peak_memory
from tests.store.real import s3_store
from tests.stores import new_bucket

COUNT: Final = 10_000
AT_ONCE: Final = Settings.from_environment({}).publish_at_once
PEAK: Final = 120e6  # bytes
TEXTS: Final = [f"a red star on a white background, number {n} of so many that nobody counts" for n in range(COUNT)]
JSONL: Final = b"".join(json.dumps({"prompt": text, "seed": n}).encode() + b"\n" for n, text in enumerate(TEXTS))
TXT: Final = "\n".join(TEXTS).encode()
# Seconds that the broker gives a delivery.
PATIENCE: Final = 660.0


@dataclass(frozen=True)
class Place:
    """Buckets, and a sink that processes of intake publish to, one after the other."""

    server: S3Server
    folder: Path
    prompts: str
    images: str
    port: int
    sink: LeanSink

    def intake(self) -> DarkroomProcess:
        environment = {
            "DARKROOM_PROMPT_BUCKETS": self.prompts,
            "DARKROOM_IMAGE_BUCKET": self.images,
            "K_SINK": f"http://127.0.0.1:{self.port}/broker",
        }
        return DarkroomProcess("intake", self.server, self.folder, environment)

    def put(self, key: str, body: bytes) -> ObjectRef:
        etag = self.server.client.put_object(Bucket=self.prompts, Key=key, Body=body)["ETag"]
        return ObjectRef(self.prompts, key, etag=etag, size=len(body))

    def stored(self, key: str) -> Any:
        """A JSON object of the image bucket."""
        return json.loads(self.server.client.get_object(Bucket=self.images, Key=key)["Body"].read())

    def taken(self) -> list[dict[str, Any]]:
        """The events that an intake which has ended has published, in the order in which they arrived."""
        eventually(lambda: not self.sink.connected, "the end of all connections to the sink")
        events = [json.loads(body) for body in self.sink.bodies]
        self.sink.bodies.clear()
        return events


@pytest.fixture
def place(seaweedfs: S3Server, tmp_path: Path) -> Iterator[Place]:
    (port,) = free_ports(1)
    with lean_sink(port) as sink:
        prompts, images = new_bucket(seaweedfs, "prompts"), new_bucket(seaweedfs, "images")
        yield Place(seaweedfs, tmp_path, prompts, images, port, sink)


def announce(process: DarkroomProcess, ref: ObjectRef) -> int:
    """The status of the expander's answer to a delivery."""
    headers = {"ce-specversion": "1.0", "ce-id": ref.file_id, "ce-source": ref.source, "ce-type": PROMPTS_DROPPED}
    body = json.dumps({"object": ref.as_data()})
    return process.http.request("POST", process.url, body=body, headers=headers, timeout=PATIENCE).status


def by_index(events: list[dict[str, Any]], ref: ObjectRef) -> dict[int, str]:
    """The id of each prompt that is asked for, once, and as `from_object` derives it."""
    ids = {event["batchindex"]: event["id"] for event in events}
    assert len(ids) == len(events), "a prompt was published twice"
    assert ids == {index: from_object(ref, index, None).id for index in ids}
    assert {event["batchsize"] for event in events} == {COUNT}
    assert {event["batchid"] for event in events} == {ref.file_key}
    return ids


def test_all_are_published_in_order_and_in_little_memory(place: Place) -> None:
    ref = place.put("all.jsonl", JSONL)
    with place.intake() as process:
        before = peak_memory(process.wait_ready().pid)
        began = time.monotonic()
        assert announce(process, ref) == 202
        seconds, peak = time.monotonic() - began, peak_memory(process.pid)
    events = place.taken()
    assert sorted(by_index(events, ref)) == list(range(COUNT))
    displaced = max(abs(nth - event["batchindex"]) for nth, event in enumerate(events))
    print(
        f"\n{COUNT} prompts of {len(JSONL) / 1e3:.0f} kB in {seconds:.1f} s; none further than {displaced} from its "
        f"place; {peak / 1e6:.0f} MB at most, {before / 1e6:.0f} MB before"
    )
    for event in events:
        index = event["batchindex"]
        assert (event["type"], event["source"]) == (IMAGE_REQUESTED, ref.source)
        assert event["data"] == {"prompt": TEXTS[index], "seed": index, "object": ref.as_data()}
    validated(events[0])
    assert place.stored(f"files/{ref.file_key}") == {"count": COUNT, "done": False}
    # Nothing is sent before what is `publish_at_once` places before it was taken.
    assert displaced < AT_ONCE
    assert peak < PEAK


def test_killed_in_the_middle_a_redelivery_publishes_what_is_missing_and_nothing_else(place: Place) -> None:
    ref = place.put("killed.txt", TXT)
    with place.intake() as process, ThreadPoolExecutor(1) as sender:
        delivery = sender.submit(announce, process.wait_ready(), ref)
        eventually(lambda: len(place.sink.bodies) >= COUNT // 3, "a third of the file at the sink", seconds=300)
        os.kill(process.pid, signal.SIGKILL)
        with pytest.raises(urllib3.exceptions.ProtocolError):
            delivery.result(timeout=60)
        assert process.wait_exit(60) == -signal.SIGKILL
    first = place.taken()
    before = by_index(first, ref)
    assert COUNT // 3 <= len(before) < COUNT
    assert place.server.client.list_objects_v2(Bucket=place.images)["KeyCount"] == 0, "nothing is known of the file"

    # Meanwhile some are drawn, the last of them in the part that was published first.
    recorded = set(range(0, COUNT // 3, 50))
    ledger = Ledger(s3_store(place.server.environment, place.images), told_by="sink")
    for index in recorded:
        request = from_object(ref, index, {"prompt": TEXTS[index]})
        ledger.commit(request, drawn(request))

    with place.intake() as process:
        assert announce(process.wait_ready(), ref) == 202
    again = place.taken()
    after = by_index(again, ref)
    print(f"\nkilled after {len(before)} of {COUNT}; {len(recorded)} drawn meanwhile; then {len(after)} published")
    assert set(after) == set(range(COUNT)) - recorded
    assert set(before) | set(after) == set(range(COUNT))
    undated = {event["batchindex"]: event | {"time": ""} for event in again}
    assert all(undated.get(event["batchindex"], event | {"time": ""}) == event | {"time": ""} for event in first)
    assert place.stored(f"files/{ref.file_key}") == {"count": COUNT, "done": False}
    listed = place.server.client.list_objects_v2(Bucket=place.images, Prefix="results/")
    names = [f"results/{place.prompts}/killed.txt.{index}.json" for index in recorded]
    assert sorted(row["Key"] for row in listed["Contents"]) == sorted(names)
    assert place.stored(names[0])["causationid"] in before.values()
