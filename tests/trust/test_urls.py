"""No URL that a stranger writes is ever fetched, wherever it stands, and at whichever door it is said."""

from __future__ import annotations

import json
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from events import IMAGE_REQUESTED, PROMPTS_DROPPED
from function.demo.process import free_ports
from function.demo.s3server import S3Server
from tests.darkroom import DarkroomProcess, eventually
from tests.receiver import receiver
from tests.stores import new_bucket

FIELDS = ("prompt", "negative_prompt", "scheduler", "model", "image", "mask", "url", "callback", "lora", "webhook")
ATTRIBUTES = ("source", "subject", "dataschema", "traceparent", "partitionkey", "sink", "dataref", "replyto")


@contextmanager
def bait() -> Iterator[tuple[str, list[str]]]:
    """A URL on this machine, and every connection that anybody makes to it."""
    seen: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def take() -> None:
            while True:
                try:
                    connection, address = server.accept()
                except OSError:
                    return
                connection.close()
                seen.append(str(address))

        taking = threading.Thread(target=take)
        taking.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}/bait.png", seen
        finally:
            server.shutdown(socket.SHUT_RDWR)
            taking.join()


def sayings(url: str, bucket: str) -> Iterator[tuple[dict[str, str], bytes]]:
    """Events and raw messages with the URL in every place that anybody could think of."""
    plain = {"specversion": "1.0", "source": "/tests", "type": IMAGE_REQUESTED}
    good: dict[str, Any] = {"prompt": f"a red star, see {url}"}
    for data in (good, *({"prompt": "a red star", name: url} for name in FIELDS), [url], url):
        yield binary(plain, data)
    for name in ATTRIBUTES:
        yield binary(plain | {name: url}, good)
    for key in (url, f"//{url}", f"in/{url}.json"):
        for named in ({"bucket": bucket, "key": key}, {"bucket": url, "key": key, "etag": url}):
            yield binary(plain | {"type": PROMPTS_DROPPED}, {"object": named})
    confirm = {
        "Type": "SubscriptionConfirmation",
        "TopicArn": "arn:aws:sns:us-east-1:1:t",
        "Message": url,
        "Token": "t",
    }
    for way in ("SubscribeURL", "UnsubscribeURL", "SigningCertURL"):
        yield binary(plain | {"type": "com.amazonaws.sns"}, confirm | {way: url})
    record = {"eventName": "ObjectCreated:Put", "eventSource": "aws:s3", "responseElements": {"origin": url}}
    record["s3"] = {"bucket": {"name": bucket, "arn": url}, "object": {"key": "url.yaml", "url": url}}
    yield binary(plain | {"type": "com.amazonaws.s3"}, {"Records": [record], "callback": url})


def binary(attributes: dict[str, str], data: object) -> tuple[dict[str, str], bytes]:
    headers = {f"ce-{name}": value for name, value in (attributes | {"id": uuid.uuid4().hex}).items()}
    return headers | {"content-type": "application/json", "referer": "x"}, json.dumps(data).encode()


FILES = {
    "url.yaml": "prompts: [{prompt: 'a red star URL'}]\ninclude: URL\n",
    "tag.yaml": "!!python/object/apply:urllib.request.urlopen ['URL']\n",
    "external.yaml": "%TAG ! URL\n---\n!x {prompt: a}\n",
    "formula.csv": 'prompt,negative_prompt\n"=WEBSERVICE(""URL"")",URL\n',
    "line.txt": "URL\n",
    "lines.jsonl": '{"prompt": "a", "$ref": "URL"}\n{"$schema": "URL", "prompt": "URL"}\n',
}


@pytest.mark.parametrize("command", ["render", "serve", "intake"])
def test_no_url_is_fetched(seaweedfs: S3Server, tmp_path: Path, command: Any) -> None:
    (sink,) = free_ports(1)
    prompts = new_bucket(seaweedfs, "prompts")
    settings = {
        "DARKROOM_PROMPT_BUCKETS": prompts,
        "DARKROOM_IMAGE_BUCKET": new_bucket(seaweedfs, "images"),
        "K_SINK": f"http://127.0.0.1:{sink}/",
    }
    program = ("-m", "function.cli") if command == "intake" else ("-m", "tests.drawing")
    with bait() as (url, seen), receiver(sink) as told:
        for name, body in FILES.items():
            seaweedfs.client.put_object(Bucket=prompts, Key=name, Body=body.replace("URL", url).encode())
        with DarkroomProcess(command, seaweedfs, tmp_path, settings, program=program) as process:
            process.wait_ready()
            said = [*sayings(url, prompts)]
            files = [({"bucket": prompts, "key": name}) for name in FILES]
            said += [
                binary({"specversion": "1.0", "source": "/f", "type": PROMPTS_DROPPED}, {"object": f}) for f in files
            ]
            statuses = [process.post("/", body, headers).status for headers, body in said]
            if command != "render":
                statuses += [process.post("/drop", body, headers).status for headers, body in said]
                statuses += [process.post("/drop", body, {}).status for _, body in said]
            if command == "serve":
                client, images = seaweedfs.client, settings["DARKROOM_IMAGE_BUCKET"]
                whole = f"results/{prompts}/"
                eventually(
                    lambda: client.list_objects_v2(Bucket=images, Prefix=whole)["KeyCount"] > len(FILES),
                    "an outcome of every prompt in every file",
                )
        assert {500, 503}.isdisjoint(statuses), statuses
        about = sum(url.encode() in delivery.body for delivery in [told.get() for _ in range(told.qsize())])
        print(
            f"{command}: {len(statuses)} messages, {about} events with the URL in them, {len(seen)} connections to it"
        )
        assert about, "the URL came nowhere"
        assert seen == []
        socket.create_connection(("127.0.0.1", int(url.split(":")[2].split("/")[0]))).close()
        eventually(lambda: seen, "the bait sees who bites")
