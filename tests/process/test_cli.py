"""The command line: what it says, its exit codes, and that nobody ever sees a traceback."""

from __future__ import annotations

import json
import uuid

import pytest

from function.config import variables
from function.demo.s3server import S3Server
from tests.darkroom import darkroom, outcome_of, sentence
from tests.process.conftest import Running
from tests.stores import new_bucket

PROMPT = {"prompt": "a yellow square on a blue background", "num_inference_steps": 1}


def test_help_names_every_command() -> None:
    done = darkroom("--help")
    assert done.returncode == 0
    for command in (
        "render",
        "serve",
        "intake",
        "archive",
        "sweep",
        "replay",
        "retry",
        "config",
        "status",
        "check-store",
        "demo",
        "doctor",
        "prefetch",
        "submit",
    ):
        assert f"\n  {command} " in done.stdout
    assert darkroom("--version").stdout.startswith("darkroom, version ")


def test_config_shows_what_holds_and_masks_secrets() -> None:
    overrides = '{"extensions": {"team": "art"}}'
    settings = {
        "DARKROOM_PROMPT_BUCKETS": "one, two",
        "DARKROOM_DOOR_TOKEN": "open sesame",
        "K_CE_OVERRIDES": overrides,
        "PORT": "8081",
    }
    done = darkroom("config", "--check", **settings)
    assert done.returncode == 0, done.stderr
    shown = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert shown.keys() == set(variables().values())
    assert "sesame" not in done.stdout
    assert shown["DARKROOM_DOOR_TOKEN"]
    expected = {
        "DARKROOM_PROMPT_BUCKETS": "one,two",
        "DARKROOM_IMAGE_BUCKET": "images",
        "K_CE_OVERRIDES": overrides,
        "PORT": "8081",
        "K_SINK": "",
    }
    assert {name: shown[name] for name in expected} == expected


def test_an_unknown_name_fails_the_check_only() -> None:
    wrong = {"DARKROOM_PROMT_BUCKETS": "prompts"}
    assert sentence(darkroom("config", "--check", **wrong)) == (
        "DARKROOM_PROMT_BUCKETS sets nothing; did you mean DARKROOM_PROMPT_BUCKETS?"
    )
    assert darkroom("config", **wrong).returncode == 0


WRONG = {
    "number": ({"DARKROOM_LEASE": "soon"}, "DARKROOM_LEASE: must be a valid number"),
    "two at once": (
        {"DARKROOM_DEVICE": "tpu", "PORT": "99999"},
        "DARKROOM_DEVICE: must be 'auto', 'cpu' or 'cuda'; PORT:",
    ),
    "sink": ({"K_SINK": "broker"}, "K_SINK: must be a URL that begins with http:// or https://"),
    "overrides": ({"K_CE_OVERRIDES": '{"ext'}, "K_CE_OVERRIDES: must be JSON such as"),
}
WRONG_FOR_SERVERS = {
    "certificates": ({"K_SINK": "http://sink", "K_CA_CERTS": "none"}, "K_CA_CERTS: must be certificates in PEM"),
    "model": ({"DARKROOM_MODEL": "no/where/at/all"}, "model no/where/at/all: there is no such directory"),
    "address": ({"DARKROOM_HOST": "no address"}, "cannot listen on no address, port "),
    "endpoint": ({"AWS_ENDPOINT_URL_S3": "storage"}, "the S3 endpoint is no URL such as http://host:9000; set"),
    "public endpoint": ({"DARKROOM_S3_PUBLIC_ENDPOINT": "storage"}, "DARKROOM_S3_PUBLIC_ENDPOINT: must be a URL"),
    "profile": ({"AWS_PROFILE": "nobody"}, "object storage is set up wrongly: The config profile (nobody)"),
}


@pytest.mark.parametrize(
    ("command", "case"),
    [("config", case) for case in WRONG]
    + [("render", case) for case in ("number", *WRONG_FOR_SERVERS)]
    + [("serve", case) for case in ("number", "model")],
)
def test_wrong_settings_are_one_sentence(command: str, case: str) -> None:
    settings, expected = (WRONG | WRONG_FOR_SERVERS)[case]
    assert sentence(
        darkroom(command, **{"DARKROOM_PROMPT_BUCKETS": "prompts", "DARKROOM_DOOR_TOKEN": "t", **settings})
    ).startswith(expected)


@pytest.mark.parametrize("command", ["serve", "intake", "sweep"])
def test_who_reads_prompt_files_asks_for_their_buckets(command: str) -> None:
    assert sentence(darkroom(command, K_SINK="http://127.0.0.1:1")).startswith("DARKROOM_PROMPT_BUCKETS is not set;")


@pytest.mark.parametrize("command", ["intake", "sweep"])
def test_who_publishes_asks_for_a_sink(command: str) -> None:
    settings = {"DARKROOM_PROMPT_BUCKETS": "prompts", "DARKROOM_DOOR_TOKEN": "t"}
    assert sentence(darkroom(command, **settings)).startswith("K_SINK is not set;")


def test_a_port_that_is_taken(render: Running) -> None:
    said = sentence(darkroom("render", DARKROOM_HOST="127.0.0.1", PORT=str(render.process.port)))
    assert said == f"cannot listen on 127.0.0.1, port {render.process.port}: [Errno 98] Address already in use"


def test_status(render: Running) -> None:
    render.server.client.put_object(Bucket=render.prompts, Key="a b.json", Body=json.dumps(PROMPT).encode())
    found = {"bucket": {"name": render.prompts}, "object": {"key": "a+b.json"}}
    records = {"Records": [{"eventName": "ObjectCreated:Put", "s3": found}]}
    event = outcome_of(render.process.event(records, id=str(uuid.uuid4()), type="com.example.s3"))
    (image,) = event["data"]["images"]

    here = render.server.environment | {"DARKROOM_IMAGE_BUCKET": render.images}
    by_key = darkroom("status", event["data"]["key"], **here)
    by_name = darkroom("status", f"{render.prompts}/a b.json", **here)
    by_uri = darkroom("status", f"s3://{render.prompts}/a b.json", **here)
    assert by_key.returncode == by_name.returncode == 0, (by_key.stderr, by_name.stderr)
    for line in (
        f"  key      {event['data']['key']}",
        "  attempt  1: committed, last heard of ",
        "  record   dev.darkroom.image.completed at ",
        f"  image    {image['uri']}",
        "  told     as the reply to each delivery",
    ):
        assert f"\n{line}" in f"\n{by_key.stdout}", by_key.stdout
    assert by_name.stdout.splitlines()[2].strip() == by_key.stdout.splitlines()[0].strip()
    assert by_uri.stdout.splitlines()[0] == by_name.stdout.splitlines()[0]

    unheard = darkroom("status", "0" * 64, **here)
    assert unheard.stdout.splitlines() == [f"  key      {'0' * 64}", "  record   none, and nobody has tried"]
    assert sentence(darkroom("status", f"{render.prompts}/gone", **here)) == (
        f"there is no object {render.prompts}/gone; name it as bucket/key"
    )
    assert sentence(darkroom("status", "no-such-bucket/gone", **here)) == "the bucket no-such-bucket does not exist"
    assert sentence(darkroom("status", "no bucket/gone", **here)).startswith("object storage knows no such name: ")


def test_check_store(s3_server: S3Server) -> None:
    bucket = new_bucket(s3_server)
    done = darkroom("check-store", "--racers=8", "--keys=3", **s3_server.environment, DARKROOM_IMAGE_BUCKET=bucket)
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["ok"] * 6
    assert s3_server.client.list_objects_v2(Bucket=bucket)["KeyCount"] == 0, "check-store leaves objects behind"


def test_too_many_racers() -> None:
    assert "257 is not in the range 2<=x<=256" in darkroom("check-store", "--racers=257").stderr


def test_a_missing_bucket(s3_server: S3Server) -> None:
    done = darkroom("check-store", **s3_server.environment, DARKROOM_IMAGE_BUCKET="no-such-bucket")
    assert sentence(done) == "the bucket no-such-bucket does not exist"


def test_a_store_that_is_away() -> None:
    away = {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    assert sentence(darkroom("check-store", **away)).startswith("object storage does not answer")
