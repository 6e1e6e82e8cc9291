"""The same dropped object by webhook, by Kafka and by sweep: one set of requests, and one render of each."""

from __future__ import annotations

import json
import secrets
from contextlib import ExitStack, contextmanager
from pathlib import Path

from events import IMAGE_COMPLETED, IMAGE_REQUESTED, PROMPTS_DROPPED
from function.demo.process import free_ports
from function.demo.s3server import Webhook
from tests.darkroom import DarkroomProcess, eventually
from tests.intake.conftest import sweep
from tests.receiver import Delivery, receiver
from tests.servers.broker import Broker
from tests.servers.event import Event
from tests.servers.kafka import Kafka
from tests.servers.kafkasource import KafkaSource
from tests.servers.minio import KafkaTarget, Minio
from tests.stores import running

KEY = "in/zwei Bilder + 100%41 \u00e9 \u65e5\u672c.jsonl"
PROMPTS = [{"prompt": "a red star on a white background", "num_inference_steps": 2, "seed": n} for n in (1, 2)]


def requested(broker: Broker, count: int) -> list[Event]:
    """The requests that the broker has taken, as soon as there are so many."""
    taken = [event for event in broker.accepted if event.attributes["type"] == IMAGE_REQUESTED]
    return taken if len(taken) >= count else []


def said(events: list[Event]) -> set[str]:
    """What the events say, but for when it was said."""
    return {json.dumps([{**event.attributes, "time": ""}, event.data.decode()]) for event in events}


def test_one_object_by_three_routes_is_rendered_once(kafka: Kafka, tmp_path: Path) -> None:
    intake_port, subscriber_port = free_ports(2)
    token, topic = secrets.token_hex(16), f"notifications-{secrets.token_hex(6)}"
    webhook = Webhook(f"http://127.0.0.1:{intake_port}/drop", token)
    minio = Minio(tmp_path / "s3", ["prompts", "images"], webhook, KafkaTarget(kafka.bootstrap, topic))
    with ExitStack() as stack:
        broker = stack.enter_context(Broker())
        told = stack.enter_context(receiver(subscriber_port))
        server = stack.enter_context(contextmanager(running)(minio))
        settings = {
            "DARKROOM_PROMPT_BUCKETS": "prompts",
            "DARKROOM_DOOR_TOKEN": token,
            "DARKROOM_FORGOTTEN_AFTER": "0.001",
            "DARKROOM_REPUBLISH_AFTER": "0.001",
            "K_SINK": broker.url,
        }
        stack.enter_context(DarkroomProcess("intake", server, tmp_path, settings, port=intake_port)).wait_ready()
        broker.trigger(PROMPTS_DROPPED, f"http://127.0.0.1:{intake_port}/")
        broker.trigger(IMAGE_COMPLETED, f"http://127.0.0.1:{subscriber_port}/")

        server.client.put_object(Bucket="prompts", Key=KEY, Body="\n".join(map(json.dumps, PROMPTS)).encode())
        by_webhook = eventually(lambda: requested(broker, 2), "two requests by the webhook")
        with KafkaSource(kafka.bootstrap, topic, f"http://127.0.0.1:{intake_port}/") as source:
            assert source.settled.get(timeout=60).answers[-1] == 202
        by_kafka = requested(broker, 4)[2:]
        eventually(lambda: sweep(server, settings) and requested(broker, 6), "two requests by the sweep", 120)
        eventually(lambda: broker.idle, "every announcement is through")
        by_sweep = requested(broker, 6)[4:]
        assert said(by_webhook) == said(by_kafka) == said(by_sweep)
        assert len({event.attributes["id"] for event in by_webhook}) == len(PROMPTS)

        render = stack.enter_context(DarkroomProcess("render", server, tmp_path, settings)).wait_ready()
        broker.trigger(IMAGE_REQUESTED, render.url + "/")
        requests = requested(broker, 6)
        for event in requests:
            assert broker.ingress(Delivery("/", event.headers, event.data)) == 202
        eventually(lambda: broker.idle, "every request is answered", 240)
        assert broker.dead == []
        assert render.metric("darkroom_renders_total") == len(PROMPTS)
        outcomes = [told.get(timeout=1) for _ in requests]
        assert told.empty()
        print(f"{len(requests)} requests by three routes, delivered at once: 2 renders, {len(outcomes)} outcomes told")
        assert len({outcome.headers["ce-id"] for outcome in outcomes}) == len(PROMPTS)
        ids = {event.attributes["id"] for event in requests}
        assert {outcome.headers["ce-causationid"] for outcome in outcomes} == ids
