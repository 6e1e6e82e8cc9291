"""What nobody delivers any more, one `darkroom sweep` makes good: outcomes nobody was told, files nobody announced."""

from __future__ import annotations

import json
import queue
import random
import secrets
from collections import Counter
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import pytest
import urllib3

from events import IMAGE_REQUESTED, PROMPTS_DROPPED
from function import layout
from function.demo.process import free_ports
from function.demo.s3server import Webhook
from tests.darkroom import DarkroomProcess, eventually
from tests.dispatch.stage import LEASE, Stage, Told, requested, settle
from tests.drawing import renders
from tests.intake.conftest import sweep
from tests.receiver import Delivery, answering, receiver
from tests.servers.broker import Broker, Hazard
from tests.servers.dispatchers import KAFKA
from tests.servers.minio import Minio
from tests.sizing import sized
from tests.stores import new_bucket, running

pytestmark = pytest.mark.chaos

DROPPED: Final = 0.05


def arrived(deliveries: queue.Queue[Delivery]) -> Told:
    """What has come to a sink since it was last asked."""
    told = Told()
    while not deliveries.empty():
        told.add(json.loads(deliveries.get_nowait().body))
    return told


def test_without_a_sink_and_with_the_sender_gone_the_sweep_tells_and_a_redelivery_draws_nothing(stage: Stage) -> None:
    (port,) = free_ports(1)
    sink = {"K_SINK": f"http://127.0.0.1:{port}/"}
    names = [f"star {number}" for number in range(sized(4, 60))]

    # Every other sender has left before the render is over.
    def gone(_event: object, _attempt: int) -> Hazard:
        return Hazard(gone_after=0.1 if broker.settled and len(broker.settled) % 2 else None)

    with stage.pods(1, seconds=0.2, settings=sink) as pods:
        with Broker(delivery={"retry": 0}, factor=1, hazards=gone) as broker:
            broker.trigger(IMAGE_REQUESTED, *pods.urls)
            for name in names:
                settle(broker, [requested(name)], 30)
                eventually(partial(pods.ended, name), f"the end of {name}, whose sender may be gone")
        (pod,) = pods.processes
        eventually(lambda: pod.metric("darkroom_answers_total") == len(names), "the pod has given up telling")
        answers = [each.answers for each in broker.settled]
        assert Counter(answers) == {(503,): len(names) - len(names) // 2, (None,): len(names) // 2}
        assert pods.keys(layout.TOLD) == set()
        pods.check_renders(names)

        settings = sink | {
            "DARKROOM_IMAGE_BUCKET": pods.images,
            "DARKROOM_PROMPT_BUCKETS": new_bucket(stage.server, "prompts"),
            "DARKROOM_UNTOLD_AFTER": "0.001",
        }
        with receiver(port) as deliveries, Broker() as broker:
            sweep(stage.server, settings)
            told = arrived(deliveries)
            told.check(names)
            assert told.count == len(names)
            sweep(stage.server, settings)
            assert deliveries.empty(), "the second sweep told something"

            broker.trigger(IMAGE_REQUESTED, *pods.urls, at_once=1)
            settle(broker, [requested(name) for name in names], 60)
            assert all(each.answers == (200,) for each in broker.settled)
            again = arrived(deliveries)
            assert again.by_cause == told.by_cause, "a redelivery told something else"
            pods.check_renders(names)
    print(f"\n{len(names)} outcomes without a sink, half of their senders gone: told by one sweep, and again the same")


class Relay:
    """A way from the bucket to intake's door that loses the notifications of some objects."""

    def __init__(self, door: str, lost: set[str]) -> None:
        self._door = door
        self._lost = lost
        self._http = urllib3.PoolManager(retries=False, timeout=60)
        self.seen: set[str] = set()

    def __call__(self, delivery: Delivery) -> int:
        key = json.loads(delivery.body)["Key"].partition("/")[2]
        status = 200
        if key not in self._lost:
            headers = {name: delivery.headers[name] for name in ("authorization", "content-type")}
            status = self._http.request("POST", self._door, body=delivery.body, headers=headers).status
        if status < 300:
            self.seen.add(key)
        return status


def test_one_sweep_finds_what_every_twentieth_notification_lost(tmp_path: Path) -> None:
    count = sized(20, 400)
    contents = {f"in/{n:04}.jsonl": [f"star {n}.{i}" for i in range(1 + n % 3)] for n in range(count)}
    lost = set(random.Random(13).sample(sorted(contents), round(count * DROPPED)))
    prompts = [prompt for prompts in contents.values() for prompt in prompts]
    missing = [prompt for key in lost for prompt in contents[key]]
    door_port, relay_port = free_ports(2)
    webhook = Webhook(f"http://127.0.0.1:{relay_port}/", secrets.token_hex(16))
    relay = Relay(f"http://127.0.0.1:{door_port}/drop", lost)
    minio = Minio(tmp_path / "s3", ["prompts", "images"], webhook)
    log = tmp_path / "renders.log"
    with ExitStack() as stack:
        broker = stack.enter_context(Broker(KAFKA))
        stack.enter_context(answering(relay_port, relay))
        server = stack.enter_context(contextmanager(running)(minio))
        settings = {
            "DARKROOM_PROMPT_BUCKETS": "prompts",
            "DARKROOM_DOOR_TOKEN": webhook.token,
            "DARKROOM_LEASE": LEASE,
            "DARKROOM_FORGOTTEN_AFTER": "1",
            "DARKROOM_UNTOLD_AFTER": "1",
            "DRAWING_LOG": str(log),
            "K_SINK": broker.url,
        }
        intake = stack.enter_context(DarkroomProcess("intake", server, tmp_path, settings, port=door_port))
        render = stack.enter_context(
            DarkroomProcess("render", server, tmp_path, settings, program=("-m", "tests.drawing"))
        )
        broker.trigger(PROMPTS_DROPPED, intake.wait_ready().url + "/", at_once=4)
        broker.trigger(IMAGE_REQUESTED, render.wait_ready().url + "/", at_once=1)

        def records() -> int:
            pages = server.client.get_paginator("list_objects_v2").paginate(Bucket="images", Prefix=layout.RECORDS)
            return sum(page["KeyCount"] for page in pages)

        def announced_by_a_sweep() -> int:
            before = len(broker.accepted)
            sweep(server, settings | {"DARKROOM_REPUBLISH_AFTER": "0.001"})
            eventually(lambda: broker.idle, "every file is through once more", 300)
            return len(broker.accepted) - before

        for key, wanted in contents.items():
            body = "\n".join(json.dumps({"prompt": prompt}) for prompt in wanted)
            server.client.put_object(Bucket="prompts", Key=key, Body=body.encode())
        eventually(lambda: relay.seen == contents.keys() and broker.idle, "every notification is through", 300)
        assert records() == len(prompts) - len(missing)

        sweep(server, settings)
        eventually(lambda: broker.idle, "what the sweep announced is through", 300)
        assert records() == len(prompts)
        assert Counter(renders(log)) == Counter(prompts)
        assert broker.dead == []
        published = len(broker.accepted)
        # MinIO repeats a webhook that it thinks was not taken, and every delivery tells.
        assert Told.by_replies(broker).count >= len(prompts)

        sweep(server, settings)
        assert len(broker.accepted) == published, "the second sweep published or told something"
        # Even one that asks about every file that is not known to be done finds nothing to draw.
        assert 0 < announced_by_a_sweep() <= count
        assert {event.attributes["type"] for event in broker.accepted[published:]} == {PROMPTS_DROPPED}
        # A file whose reader met the sweep's own mark is asked about once more, and costs no more than that.
        asked = [announced_by_a_sweep()]
        while asked[-1] and len(asked) < 10:
            asked.append(announced_by_a_sweep())
        assert asked[-1] == 0, f"files that are done were announced: {asked}"
    print(
        f"\n{count} objects, {len(lost)} notifications lost: {len(missing)} of {len(prompts)} prompts had no record, "
        f"0 after one sweep; the second did nothing"
    )
