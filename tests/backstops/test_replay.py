"""`darkroom replay`: dead letters are sent again as they were, from wherever they were kept."""

from __future__ import annotations

import base64
import json
import queue
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from events import IMAGE_COMPLETED, IMAGE_REQUESTED
from events.envelope import encode_json
from function.demo.process import free_ports
from tests.backstops.house import GIVEN_UP, STRUCTURED, House, dead, key, requested, sentence
from tests.darkroom import eventually
from tests.kafka.route import as_record, new_topic, publish
from tests.receiver import Delivery, answering
from tests.servers.broker import Broker
from tests.servers.event import Event
from tests.servers.kafka import Kafka
from tests.sizing import sized


class Sink:
    """Keeps the events that it takes; refuses ids that are `bad` with 400, and has trouble with `down`."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/"
        self.arrived: queue.Queue[Delivery] = queue.Queue()

    def answer(self, delivery: Delivery) -> int:
        if json.loads(delivery.body)["id"].startswith("bad"):
            return 400
        if json.loads(delivery.body)["id"] == "down":
            return 500
        self.arrived.put(delivery)
        return 202

    def taken(self) -> list[dict[str, Any]]:
        return [json.loads(self.arrived.get().body) for _ in range(self.arrived.qsize())]


@pytest.fixture
def sink() -> Iterator[Sink]:
    (port,) = free_ports(1)
    kept = Sink(port)
    with answering(port, kept.answer):
        yield kept


def plain(event: dict[str, Any]) -> dict[str, Any]:
    """The event with its data as JSON, however it is written."""
    encoded = event.pop("data_base64", None)
    return event | {"data": json.loads(base64.b64decode(encoded))} if encoded else event


def lines(*events: Mapping[str, Any]) -> str:
    return "".join(json.dumps(event) + "\n" for event in events)


def test_files_and_stdin_arrive_as_they_were(house: House, sink: Sink, tmp_path: Path) -> None:
    many, one = tmp_path / "letters.jsonl", tmp_path / "letter.json"
    rich = {"expirytime": "2099-11-24T10:00:00Z", "batchindex": 3, "team": "art", "subject": "caf\u00e9 \U0001f31f"}
    exact = {"prompt": "a", "guidance_scale": 5.0, "seed": 2**64 - 1}
    many.write_text("\n" + lines(dead("1", exact, **rich), dead("2")) + "\n")
    one.write_text(json.dumps(dead("3"), indent=2))
    overrides = '{"extensions": {"team": "other"}}'
    done = house.darkroom("replay", str(many), str(one), K_SINK=sink.url, K_CE_OVERRIDES=overrides)
    assert (done.returncode, done.stdout) == (0, "3 sent\n"), done.stderr
    assert json.dumps(sink.taken()) == json.dumps([requested("1", exact, **rich), requested("2"), requested("3")])

    stdin = house.darkroom("replay", "-", "--to", sink.url, stdin=lines(dead("4"), dead("5")))
    assert (stdin.returncode, stdin.stdout) == (0, "2 sent\n"), stdin.stderr
    assert [event["id"] for event in sink.taken()] == ["4", "5"]
    assert house.darkroom("replay", "-", "--to", sink.url, stdin="").stdout == "0 sent\n"


def test_what_is_refused_is_told_and_the_rest_goes_on(house: House, sink: Sink) -> None:
    letters = lines(dead("1"), dead("bad"), {"specversion": "1.0", "id": "no source"}) + "{broken\n"
    letters += lines(dead("2"), dead("down"), dead("3"))
    done = house.darkroom("replay", "-", K_SINK=sink.url, stdin=letters)
    assert sentence(done) == "3 sent, 4 not taken"
    told = done.stderr.splitlines()
    assert told[0] == "<stdin>, line 2 was not taken: the sink answered 400"
    assert told[1] == "<stdin>, line 3 was not taken: required attributes are missing: source, type"
    assert told[2].startswith("<stdin>, line 4 was not taken: ")
    assert told[3] == "<stdin>, line 6 was not taken: the sink answered 500"
    assert len(told) == 5
    assert [event["id"] for event in sink.taken()] == ["1", "2", "3"]


def test_a_sink_that_is_away_ends_it(house: House) -> None:
    (port,) = free_ports(1)
    done = house.darkroom("replay", "-", "--to", f"http://127.0.0.1:{port}", stdin=lines(*map(dead, "1234567")))
    assert "line 5 was not taken: the sink does not answer: " in done.stderr
    assert sentence(done) == "0 sent, 5 not taken, 2 not tried: the sink is away"


def test_a_dry_run_lists_and_sends_nothing(house: House, sink: Sink) -> None:
    done = house.darkroom("replay", "-", "--dry-run", K_SINK=sink.url, stdin=lines(dead("1"), requested("2"), {}))
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        f"<stdin>, line 1: {IMAGE_REQUESTED} 1 from /tests, answered 503 by {GIVEN_UP['knativeerrordest']}",
        f"<stdin>, line 2: {IMAGE_REQUESTED} 2 from /tests, not taken by an unknown subscriber",
        "<stdin>, line 3: no event: required attributes are missing: specversion, id, source, type",
    ]
    assert sink.taken() == []


WRONG = {
    "nothing to send": [],
    "two places": ["-", "--archive"],
    "no key": ["--archive", "prompts/a.json"],
    "no URL": ["-", "--to", "broker"],
    "no such file": ["letters.json"],
    "a topic without Kafka": ["--kafka-topic", "dead"],
}


@pytest.mark.parametrize("arguments", WRONG.values(), ids=WRONG)
def test_wrong_arguments_are_one_sentence(house: House, arguments: list[str]) -> None:
    done = house.darkroom("replay", *arguments)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("Error: ")


def test_without_a_sink_it_says_so(house: House) -> None:
    assert sentence(house.darkroom("replay", "-", stdin=lines(dead("1")))).startswith("K_SINK is not set;")


def test_a_record_that_kafka_has_worded_oddly_comes_back_to_the_byte(house: House) -> None:
    """Of a KafkaSource's record the bytes are its identity: written anew it would be another request."""
    archive, value = house.process("archive"), b'{"prompt" : "a\\u0020star", "guidance_scale": 1e0}\n'
    wrapped = {
        "ce-specversion": "1.0",
        "ce-id": "partition:0/offset:1",
        "ce-source": "/apis/v1",
        "ce-time": "2026-11-24T10:00:00Z",
    }
    wrapped |= {"ce-type": "dev.knative.kafka.event", "ce-knativeerrorcode": "422"}
    assert archive.post("/", value, wrapped).status == 202
    render = house.drawing()
    del wrapped["ce-knativeerrorcode"]
    assert render.post("/", value, wrapped).status == 200
    done = house.darkroom("replay", "--archive", "--to", render.url)
    assert done.stdout == "1 sent\n", done.stderr
    assert len(house.renders()) == 1


def test_a_topic_is_read_from_its_beginning_to_its_end(house: House, sink: Sink, kafka: Kafka, tmp_path: Path) -> None:
    topic, odd = new_topic("dead"), {"subject": 'caf\u00e9 %41 "\u2713"', "time": "2026-11-24T10:00:00Z"}
    records = [
        as_record(dead("binary", **odd), "binary") | {"partition": 2},
        as_record(dead("structured", **odd), "structured") | {"partition": 0},
        {"value": b"no event", "headers": {"content-type": "text/plain"}, "partition": 0},
        {"value": None, "partition": 0},
    ]
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap, "log_level": 0})
    admin.create_topics([NewTopic(topic, num_partitions=3, replication_factor=1)])[topic].result(30)
    publish(kafka.bootstrap, topic, *records)
    from_topic = ("replay", "--kafka-topic", topic, "--kafka-bootstrap", kafka.bootstrap)
    listed = sorted(house.darkroom(*from_topic, "--dry-run").stdout.splitlines())
    assert len(listed) == 4
    assert listed[3].startswith(f"{topic}, partition 2, offset 0: {IMAGE_REQUESTED} binary from /tests, answered 503")
    for _ in range(2):
        done = house.darkroom(*from_topic, K_SINK=sink.url)
        assert sentence(done) == "2 sent, 2 not taken", done.stderr
        arrived = sorted((plain(event) for event in sink.taken()), key=lambda event: str(event["id"]))
        assert arrived == [requested(mode, **odd) for mode in ("binary", "structured")]
    # As a Kafka with TLS needs it, and this one does not.
    properties = tmp_path / "client.properties"
    properties.write_text("# ours\nsecurity.protocol = plaintext\n\nclient.id=darkroom=1\n")
    done = house.darkroom(*from_topic, "--kafka-config", str(properties), "--dry-run")
    assert sorted(done.stdout.splitlines()) == listed, done.stderr
    properties.write_text("no.such.property=1\n")
    wrong = house.darkroom(*from_topic, "--kafka-config", str(properties), "--dry-run")
    assert sentence(wrong).startswith("Kafka's client cannot be set up so: ")
    assert "no.such.property" in sentence(wrong)
    properties.write_text("sasl.password\n")
    assert "sasl.password has no value" in house.darkroom(*from_topic, "--kafka-config", str(properties)).stderr
    nowhere = house.darkroom(
        "replay", "--kafka-topic", topic + "-none", "--kafka-bootstrap", kafka.bootstrap, K_SINK=sink.url
    )
    assert sentence(nowhere).startswith(f"Kafka has no topic {topic}-none: ")


def test_a_standalone_takes_them_with_its_token(house: House) -> None:
    token = {"DARKROOM_DOOR_TOKEN": secrets.token_hex(16)}
    alone = house.drawing("serve", **token)
    to = ("replay", "-", "--to", alone.url)
    assert sentence(house.darkroom(*to, stdin=lines(dead("1")))) == "0 sent, 1 not taken"
    done = house.darkroom(*to, stdin=lines(dead("1")), **token)
    assert (done.returncode, len(house.renders())) == (0, 1), done.stderr


@pytest.mark.chaos
def test_of_dead_letters_half_already_done_each_has_one_record_and_the_done_half_no_render(house: House) -> None:
    count = sized(40, 1000)
    prompts = {f"letter {n}": {"prompt": f"picture {n}"} for n in range(count)}
    archive, render = house.process("archive"), house.drawing()
    for name in list(prompts)[::2]:
        assert render.event(prompts[name], id=name).status == 200
    before = house.objects("records/")
    assert len(before) == len(house.renders()) == count // 2

    # A subscriber that refuses everything: Knative gives up on each event and hands it to the archive.
    (port,) = free_ports(1)
    with answering(port, lambda _: 422), Broker(dead_letter_sink=archive.url + "/") as broker:
        broker.trigger(IMAGE_REQUESTED, f"http://127.0.0.1:{port}/")
        for name, prompt in prompts.items():
            assert broker.publish(Event.read({"content-type": STRUCTURED}, encode_json(requested(name, prompt)))) == 202
        eventually(lambda: broker.idle, "all are given up", 300)
        assert (len(broker.dead), broker.lost) == (count, [])
    assert len(house.objects("dead/")) == count

    with Broker() as broker:
        broker.trigger(IMAGE_REQUESTED, render.url + "/", at_once=1)
        replayed = house.darkroom("replay", "--archive", K_SINK=broker.url)
        assert (replayed.returncode, replayed.stdout) == (0, f"{count} sent\n"), replayed.stderr
        eventually(lambda: broker.idle, "all are through", 300)
        assert broker.dead == []
        assert not any(name.startswith("knativeerror") for event in broker.accepted for name in event.attributes)
    records = house.objects("records/")
    assert set(records) == {f"records/{key(name)}.json" for name in prompts}
    assert {name: records[name] for name in before} == before
    assert {record["outcome"]["type"] for record in records.values()} == {IMAGE_COMPLETED}
    drawn = sorted(house.renders())
    assert drawn == sorted(prompt["prompt"] for prompt in prompts.values()), "drawn twice, or not at all"

    again = house.darkroom("replay", "--archive", key("letter 1"), "--to", render.url)
    assert again.stdout == "1 sent\n", again.stderr
    assert sorted(house.renders()) == drawn
    new = len(drawn) - len(before)
    print(f"{count} dead letters replayed: {len(records)} records, {new} renders, 0 for the {len(before)} done before")
