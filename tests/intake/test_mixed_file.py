"""A file with good and bad prompts, from the bucket through every process to pictures, failures and `files/`."""

from __future__ import annotations

import io
import json
import secrets
import urllib.request
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from events import IMAGE_COMPLETED, IMAGE_FAILED, IMAGE_REQUESTED, PROMPTS_DROPPED
from function.demo.process import free_ports
from function.demo.s3server import S3Server, Webhook
from tests.contract.validate import validated
from tests.darkroom import DarkroomProcess, eventually, without_urls
from tests.intake.conftest import sweep
from tests.judge import is_right, judge
from tests.servers.broker import Broker
from tests.servers.minio import Minio
from tests.stores import running

GOOD = {
    0: ("a red circle on a blue background", 11),
    1: ("a yellow star on a purple background", 6),
    3: ("a white ring on a green background", 2),
    4: ("a blue square on a white background", 4),
    6: ("a green triangle on a black background", 5),
    7: ("a black cross on a yellow background", 8),
    9: ("a purple circle on a cyan background", 7),
}
BAD = {
    2: '{"prompt": "a red star on a white background"',
    5: '{"prompt": " ", "width": 65, "seed": -1}',
    8: '{"prompt": "a red star on a white background", "promt_strength": 0.5}',
}
# Behind empty lines, so that a line's number is not the prompt's.
FIRST_LINE = 3
FAULTS = {
    2: {"line 5": "is not JSON"},
    5: {"line 8, prompt": "empty", "line 8, width": "multiple of 8", "line 8, seed": "greater than or equal to 0"},
    8: {"line 11, promt_strength": "no such field"},
}


def mixed_file() -> bytes:
    prompts = BAD | {
        index: json.dumps({"prompt": caption, "num_inference_steps": 20, "seed": seed})
        for index, (caption, seed) in GOOD.items()
    }
    return ("\n" * (FIRST_LINE - 1) + "\n".join(prompts[index] for index in range(10))).encode()


def outcomes(broker: Broker) -> list[dict[str, Any]]:
    """Those that the broker has taken, as the contract promises them."""
    return [
        validated({**event.attributes, "data": json.loads(event.data)})
        for event in list(broker.accepted)
        if event.attributes["type"] in (IMAGE_COMPLETED, IMAGE_FAILED)
    ]


def without_urls_by_id(events: list[dict[str, Any]]) -> dict[str, Any]:
    return {event["id"]: without_urls(event) for event in events}


def stored(server: S3Server, prefix: str) -> dict[str, Any]:
    """The JSON objects of the image bucket whose keys begin so."""
    listed = server.client.list_objects_v2(Bucket="images", Prefix=prefix).get("Contents", ())
    return {row["Key"]: json.load(server.client.get_object(Bucket="images", Key=row["Key"])["Body"]) for row in listed}


def check_picture(event: dict[str, Any], caption: str, seed: int) -> None:
    """The URL, fetched by plain HTTP, gives the picture that was asked for."""
    assert event["type"] == IMAGE_COMPLETED, event["data"]
    (image,) = event["data"]["images"]
    assert image["seed"] == seed
    with urllib.request.urlopen(image["url"], timeout=30) as answer, Image.open(io.BytesIO(answer.read())) as picture:  # noqa: S310
        assert is_right(picture, caption), f"{caption}: {judge(picture)}"


def check_failure(event: dict[str, Any]) -> None:
    """The failure names the line and everything that is wrong with it, and repeats nothing that was sent."""
    assert event["type"] == IMAGE_FAILED, event["data"]
    index = event["data"]["source_object"]["index"]
    faults = {fault["where"]: fault["message"] for fault in event["data"]["faults"]}
    assert faults.keys() == FAULTS[index].keys()
    for where, word in FAULTS[index].items():
        assert word in faults[where]
        assert where in event["data"]["message"]
    assert "red star" not in json.dumps(event["data"])


def test_seven_pictures_three_failures_ten_results_and_a_file_that_is_done(tmp_path: Path) -> None:
    intake_port, render_port = free_ports(2)
    token = secrets.token_hex(16)
    minio = Minio(tmp_path / "s3", ["prompts", "images"], Webhook(f"http://127.0.0.1:{intake_port}/drop", token))
    with ExitStack() as stack:
        broker = stack.enter_context(Broker())
        server = stack.enter_context(contextmanager(running)(minio))
        settings = {
            "DARKROOM_PROMPT_BUCKETS": "prompts",
            "DARKROOM_DOOR_TOKEN": token,
            "DARKROOM_FORGOTTEN_AFTER": "1",
            "DARKROOM_REPUBLISH_AFTER": "1",
        }
        with_sink = settings | {"K_SINK": broker.url}
        intake = stack.enter_context(DarkroomProcess("intake", server, tmp_path, with_sink, port=intake_port))
        # Its outcomes are replies, which the broker publishes.
        render = stack.enter_context(DarkroomProcess("render", server, tmp_path, settings, port=render_port))
        broker.trigger(PROMPTS_DROPPED, intake.wait_ready().url + "/")
        broker.trigger(IMAGE_REQUESTED, render.wait_ready().url + "/", at_once=1)

        server.client.put_object(Bucket="prompts", Key="mixed.jsonl", Body=mixed_file())
        eventually(lambda: len(outcomes(broker)) >= 10 and broker.idle, "ten outcomes", 300)
        told = outcomes(broker)
        assert len(told) == 10, [event["data"] for event in told]
        assert broker.dead == []
        by_index = {event["data"]["source_object"]["index"]: event for event in told}
        for index, (caption, seed) in GOOD.items():
            check_picture(by_index[index], caption, seed)
        for index in BAD:
            check_failure(by_index[index])
        assert render.metric("darkroom_renders_total") == len(GOOD)

        results = stored(server, "results/")
        assert set(results) == {f"results/prompts/mixed.jsonl.{index}.json" for index in range(10)}
        for index, event in by_index.items():
            assert without_urls(results[f"results/prompts/mixed.jsonl.{index}.json"]) == without_urls(event)

        assert list(stored(server, "files/").values()) == [{"count": 10, "done": False}]

        def is_done() -> bool:
            # A sweep that writes in the instant in which intake does is put right by the next one.
            sweep(server, with_sink)
            return list(stored(server, "files/").values()) == [{"count": 10, "done": True}]

        eventually(is_done, "the file is done")
        eventually(lambda: broker.idle, "the file, dropped again, is through")
        assert without_urls_by_id(outcomes(broker)) == without_urls_by_id(told), "something else was told"
        assert render.metric("darkroom_renders_total") == len(GOOD)
        published = len(broker.accepted)
        sweep(server, with_sink)
        assert len(broker.accepted) == published, "the second sweep has published something"
