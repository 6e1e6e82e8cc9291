"""The door for outsiders, `darkroom intake --only-drop`: what it takes, with a token, and nothing else is there."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

from events import PROMPTS_DROPPED
from function.demo.process import free_ports
from function.demo.s3server import S3Server
from tests.darkroom import DarkroomProcess, darkroom
from tests.intake.conftest import event_of
from tests.receiver import receiver

TOKEN = secrets.token_hex(16)
JSON = {"content-type": "application/json"}
# A DarkroomProcess has no options: its command comes last, and is left aside here.
PROGRAM = ("-c", "from function.cli import main; main(['intake', '--only-drop'])")


def test_outsiders_reach_drop_with_the_token_and_nothing_else(seaweedfs: S3Server, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    environment = {
        "DARKROOM_PROMPT_BUCKETS": "prompts",
        "DARKROOM_DOOR_TOKEN": TOKEN,
        "K_SINK": f"http://127.0.0.1:{port}/broker",
    }
    opened = {"authorization": f"Bearer {TOKEN}"}
    notification = {"Records": [{"eventName": "s3:ObjectCreated:Put", "eventSource": "minio:s3", "s3": {
        "bucket": {"name": "prompts"}, "object": {"key": "cats.json", "eTag": "1", "size": 2}}}]}  # fmt: skip
    body = json.dumps(notification).encode()
    with (
        receiver(port) as deliveries,
        DarkroomProcess("intake", seaweedfs, tmp_path, environment, program=PROGRAM) as door,
    ):
        door.wait_ready()
        assert door.post("/drop", body, JSON).status == 401
        # Neither of these may reach the broker through it, token or not.
        event = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/tests", "ce-type": PROMPTS_DROPPED}
        data = json.dumps({"object": {"bucket": "prompts", "key": "cats.json"}}).encode()
        assert door.post("/", data, JSON | event).status == 404
        assert door.post("/", data, JSON | event | opened).status == 404
        assert door.http.request("GET", f"{door.url}/metrics").status == 404
        assert deliveries.empty()

        assert door.post("/drop", body, JSON | opened).status == 202
        announced = event_of(deliveries.get(timeout=10))
        assert (announced["type"], announced["data"]["object"]["key"]) == (PROMPTS_DROPPED, "cats.json")
        assert deliveries.empty()


def test_a_door_for_outsiders_does_not_open_without_a_token() -> None:
    done = darkroom("intake", "--only-drop", DARKROOM_PROMPT_BUCKETS="prompts", K_SINK="http://127.0.0.1:1/")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "Error: DARKROOM_DOOR_TOKEN is not set; a door that outsiders reach needs a token to ask for"
    )
