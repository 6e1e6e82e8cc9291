"""What a real server's webhook says of an object comes out of the door as the S3 API shows it, to the last byte."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from events import PROMPTS_DROPPED
from function.demo.process import free_ports
from function.demo.s3server import S3Server, Webhook
from function.demo.seaweedfs import SeaweedFS
from tests.darkroom import DarkroomProcess
from tests.intake.conftest import Intake
from tests.receiver import receiver
from tests.servers.minio import Minio
from tests.stores import running

KEYS = {
    "a space": "in/a red flower.json",
    "a plus": "one+one.json",
    "an escape": "100%41.json",
    "slashes": "deep/er/and deep/er.json",
    "an ampersand": "salt&pepper=soup?.json",
    "a newline": "two\nlines.json",
    "composed": "caf\u00e9.json",
    "decomposed": "cafe\u0301.json",
    "Japanese": "\u65e5\u672c.json",
    "an emoji": "\U0001f3a8.json",
    "a line separator and quotes": "\u2028\"double\" and 'single'.json",
    "900 bytes": "/".join([*("\u00e9" * 100 for _ in range(4)), "x" * 91 + ".json"]),
}
BUCKETS = ("plain", "versioned")
TOKEN = secrets.token_hex(16)


@pytest.fixture(scope="module", params=[SeaweedFS, Minio], ids=["seaweedfs", "minio"])
def hooked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Intake]:
    """A server whose webhook goes to the door of an intake."""
    folder: Path = tmp_path_factory.mktemp("roundtrip")
    (port,) = free_ports(1)
    server: S3Server = request.param(folder / "s3", [*BUCKETS, "images"])
    settings = {
        "DARKROOM_PROMPT_BUCKETS": ",".join(BUCKETS),
        "DARKROOM_DOOR_TOKEN": TOKEN,
        "K_SINK": f"http://127.0.0.1:{port}/",
    }
    with receiver(port) as deliveries, DarkroomProcess("intake", server, folder, settings) as process:
        server.webhook = Webhook(f"{process.wait_ready().url}/drop", TOKEN, BUCKETS)
        for started in running(server):
            started.client.put_bucket_versioning(Bucket="versioned", VersioningConfiguration={"Status": "Enabled"})
            yield Intake(process, started, deliveries, "plain", "images")


def truth(server: S3Server, bucket: str, key: str) -> dict[str, Any]:
    """The object as the S3 API shows it, unknown and absent versions left out."""
    head = server.client.head_object(Bucket=bucket, Key=key)
    version = {"version": head["VersionId"]} if head.get("VersionId", "null") != "null" else {}
    return {"bucket": bucket, "key": key, **version, "etag": head["ETag"].strip('"'), "size": head["ContentLength"]}


def test_every_object_is_announced_once_and_exactly(hooked: Intake) -> None:
    assert len(KEYS["900 bytes"].encode()) == 900
    names = [(bucket, key) for bucket in BUCKETS for key in KEYS.values()]
    for number, (bucket, key) in enumerate(names):
        hooked.server.client.put_object(Bucket=bucket, Key=key, Body=b"{}" + b" " * number)
    shown = [truth(hooked.server, bucket, key) for bucket, key in names]
    assert ["version" in each for each in shown] == [False] * len(KEYS) + [True] * len(KEYS)

    events = [hooked.told() for _ in names]
    # What comes twice comes before this, which is dropped when all is there.
    hooked.server.client.put_object(Bucket="plain", Key="last.json", Body=b"{}")
    last = hooked.told()

    told = [event["data"]["object"] for event in events]
    exact = sum(each in told for each in shown)
    print(f"{exact} of {len(shown)} objects announced exactly as the S3 API shows them")
    assert sorted(told, key=str) == sorted(shown, key=str)
    assert last["data"]["object"]["key"] == "last.json"
    assert hooked.deliveries.empty()
    assert len({event["id"] for event in events}) == len(names)
    for event in events:
        named = event["data"]["object"]
        assert event["type"] == PROMPTS_DROPPED
        assert event["source"] == f"s3://{named['bucket']}"


def test_an_overwritten_object_is_announced_anew(hooked: Intake) -> None:
    for bucket in BUCKETS:
        ids = set()
        for body in (b"{}", b"[{}]"):
            hooked.server.client.put_object(Bucket=bucket, Key="again.json", Body=body)
            event = hooked.told()
            assert event["data"]["object"] == truth(hooked.server, bucket, "again.json")
            ids.add(event["id"])
        assert len(ids) == 2


def test_the_door_of_a_server_without_the_token_is_shut(hooked: Intake) -> None:
    for headers in ({}, {"Authorization": f"Bearer {TOKEN}x"}):
        answer = hooked.process.post("/drop", b"{}", {"Content-Type": "application/json", **headers})
        assert answer.status == 401
