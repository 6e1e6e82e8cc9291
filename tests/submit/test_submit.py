"""`darkroom submit`: into a bucket, to a broker, and straight to a door; twice is once."""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from events import IMAGE_FAILED, IMAGE_REQUESTED
from events.envelope import STRUCTURED, encode_json
from events.request import ObjectRef
from function import layout
from function.cli import main
from function.demo.process import free_ports, plain_environment
from tests.darkroom import DarkroomProcess, eventually
from tests.drawing import renders
from tests.receiver import Answer, answering
from tests.servers.broker import Broker
from tests.submit.conftest import TOKEN, House, outcomes
from tests.terminal import on_a_terminal

# Where pictures are to be found by whoever submits; the process that draws knows nothing of it.
ELSEWHERE = "https://pictures.example/"
# What clears a screen, and looks like another line.
EVIL = "\x1b[2Jno\nprompt 1: s3://images/1.png seed 7"
UNTRUE = {"type": IMAGE_FAILED, "data": {"code": "no_picture", "message": EVIL}}


def submitted_on_a_terminal(house: House, file: Path, *options: str) -> tuple[bytes, list[str]]:
    """What `darkroom submit` shows on a terminal, and the lines that it prints elsewhere."""
    command = [sys.executable, "-m", "function.cli", "submit", str(file), *options]
    return on_a_terminal(command, plain_environment() | house.server.environment | house.settings)


def refused(house: House, file: Path, *options: str, **more: str) -> Result:
    """What the command says that does nothing; in this process, for one of its own takes a second to start."""
    runner = CliRunner(env=house.server.environment | house.settings | more)
    return runner.invoke(main, ["submit", str(file), *options])


@pytest.fixture
def lines() -> list[str]:
    """Prompts that nobody else has."""
    return [f"prompt {number} of {uuid.uuid4()}" for number in range(3)]


@pytest.fixture
def file(tmp_path: Path, lines: list[str]) -> Path:
    path = tmp_path / "prompts.txt"
    path.write_text("\n".join(lines))
    return path


def test_a_file_is_put_into_the_bucket_and_its_outcomes_come(house: House, file: Path, lines: list[str]) -> None:
    came = outcomes(house.submit(file, "--wait", "--json"))
    assert [came[index]["data"]["prompt"]["prompt"] for index in range(3)] == lines
    ref = came[0]["data"]["source_object"]
    assert ref["key"].startswith("in/prompts-")
    assert house.drawn[-3:] == lines
    # Once more, when a result has expired: told again, with URLs of now, and neither put nor drawn again.
    before = house.keys()
    result = layout.result(ObjectRef(ref["bucket"], ref["key"]), 1)
    assert result in house.keys("DARKROOM_IMAGE_BUCKET")
    house.server.client.delete_object(Bucket=house.settings["DARKROOM_IMAGE_BUCKET"], Key=result)
    again = outcomes(house.submit(file, "--wait", "--json", DARKROOM_PUBLIC_URL=ELSEWHERE))
    assert {index: event["id"] for index, event in again.items()} == {index: came[index]["id"] for index in came}
    assert [again[index]["data"]["images"][0]["url"].startswith(ELSEWHERE) for index in range(3)] == [True] * 3
    assert house.keys() == before
    assert house.drawn[-3:] == lines


def test_without_waiting_it_says_where_the_file_is(house: House, file: Path) -> None:
    done = house.submit(file)
    assert (done.returncode, done.stdout) == (0, "")
    bucket = house.settings["DARKROOM_PROMPT_BUCKETS"]
    assert done.stderr.startswith(f"s3://{bucket}/in/prompts-")
    assert done.stderr.endswith(".txt holds 3 prompts\n")


@pytest.mark.parametrize("options", [[], ["--wait"], ["--to", "door", "--wait"]], ids=["put", "bucket", "to"])
def test_one_bad_prompt_is_told_and_the_others_are_drawn(house: House, tmp_path: Path, options: list[str]) -> None:
    good = f"good {uuid.uuid4()}"
    file = tmp_path / "some.jsonl"
    file.write_text("\n".join(json.dumps(prompt) for prompt in [{"prompt": ""}, {"prompt": good, "seed": 7}]))
    done = house.submit(file, *[house.process.url if option == "door" else option for option in options])
    assert done.returncode == 1
    *told, last = sorted(done.stdout.splitlines()) + done.stderr.splitlines()
    assert last == "Error: 1 of 2 prompts failed"
    assert told[0] == "prompt 0: invalid_prompt, line 1, prompt: must not be empty"
    if options:
        assert told[1].startswith(f"prompt 1: s3://{house.settings['DARKROOM_IMAGE_BUCKET']}/images/")
        assert told[1].endswith(" seed 7")
        assert good in house.drawn


@dataclass(frozen=True)
class Cluster:
    """A broker before a `darkroom render` that draws for a while, into the same bucket."""

    broker: Broker
    render: DarkroomProcess
    log: Path


@pytest.fixture(scope="module")
def cluster(house: House, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    log = folder / "renders"
    settings = house.settings | {"DRAWING_LOG": str(log), "DRAWING_SECONDS": "0.5"}
    with (
        Broker() as broker,
        DarkroomProcess("render", house.server, folder, settings, program=("-m", "tests.drawing")) as render,
    ):
        broker.trigger(IMAGE_REQUESTED, render.wait_ready().url, at_once=1)
        yield Cluster(broker, render, log)


def test_a_broker_gets_an_event_for_each_prompt_once(
    house: House, cluster: Cluster, file: Path, lines: list[str]
) -> None:
    broker = cluster.broker
    before, drawn = len(broker.accepted), len(renders(cluster.log))
    came = outcomes(house.submit(file, "--to", broker.url, "--wait", "--json"))
    assert [came[index]["data"]["prompt"]["prompt"] for index in range(3)] == lines
    assert all("url" in event["data"]["images"][0] for event in came.values())
    accepted = [event.attributes for event in broker.accepted[before:]]
    sent = [one for one in accepted if one["type"] == IMAGE_REQUESTED]
    assert {(one["source"], one["batchsize"]) for one in sent} == {("/submit", "3")}
    assert {one["batchindex"]: one["id"] for one in sent} == {
        str(index): event["causationid"] for index, event in came.items()
    }
    # Once more, and not drawn again; there is a bar, and no step of it is counted twice.
    shown, printed = submitted_on_a_terminal(house, file, "--to", broker.url, "--wait", "--json")
    again = {line["index"]: line["outcome"]["id"] for line in map(json.loads, printed)}
    assert again == {index: event["id"] for index, event in came.items()}
    assert b"3/3" in shown
    assert b"4/3" not in shown
    assert sorted(renders(cluster.log)[drawn:]) == sorted(lines)


def test_a_prompt_whose_event_dies_is_given_up(house: House, cluster: Cluster, tmp_path: Path) -> None:
    file = tmp_path / "some.jsonl"
    # There is no refiner where noise is drawn: 422, and no outcome.
    prompts = [{"prompt": f"dying {uuid.uuid4()}", "refiner": "image"}, {"prompt": ""}]
    file.write_text("\n".join(map(json.dumps, prompts)))
    done = house.submit(file, "--to", cluster.broker.url, "--wait", "--timeout", "1", "--json")
    assert (done.returncode, done.stderr) == (1, "Error: 2 of 2 prompts failed\n")
    told, given_up = map(json.loads, done.stdout.splitlines())
    assert (told["index"], told["outcome"]["data"]["code"], told["refusal"]) == (1, "invalid_prompt", None)
    (dead,) = (event.attributes for event in eventually(lambda: cluster.broker.dead, "the event is a dead letter"))
    why = f"no outcome within 1 s; see the dead letters: darkroom status {dead['partitionkey']}"
    assert given_up == {"index": 0, "outcome": None, "refusal": why}


def test_a_door_that_is_busy_is_asked_until_it_draws(
    house: House, cluster: Cluster, file: Path, lines: list[str]
) -> None:
    before, drawn = cluster.render.metric("darkroom_answers_total"), len(renders(cluster.log))
    came = outcomes(house.submit(file, "--to", cluster.render.url, "--concurrency", "2", "--json"))
    assert cluster.render.metric("darkroom_answers_total") - before > 3, "the door was never busy"
    assert sorted(event["data"]["prompt"]["prompt"] for event in came.values()) == sorted(lines)
    assert sorted(renders(cluster.log)[drawn:]) == sorted(lines)


def test_what_is_not_taken_is_told(house: House, file: Path) -> None:
    done = house.submit(file, "--to", house.process.url, DARKROOM_DOOR_TOKEN=TOKEN[:-1])
    assert done.returncode == 1
    assert sorted(done.stdout.splitlines()) == [
        f"prompt {index}: not taken, answered 401: the Authorization header does not carry the door's token"
        for index in range(3)
    ]
    (port,) = free_ports(1)
    away = refused(house, file, "--to", f"http://127.0.0.1:{port}/")
    assert (away.exit_code, away.stderr) == (1, "Error: the sink does not answer: MaxRetryError\n")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(400, EVIL.encode()), "not taken, answered 400"),
        (Answer(200, encode_json(UNTRUE), {"Content-Type": STRUCTURED}), "no_picture"),
    ],
    ids=["refusal", "outcome"],
)
def test_what_strangers_say_is_no_command_for_the_terminal(
    house: House, tmp_path: Path, answer: Answer, said: str
) -> None:
    (file := tmp_path / "one.txt").write_text("a red star")
    (port,) = free_ports(1)
    with answering(port, lambda _: answer):
        done = refused(house, file, "--to", f"http://127.0.0.1:{port}/")
    (line,) = done.stdout.splitlines()
    assert line.startswith(f"prompt 0: {said}")
    assert line.endswith(r" \x1b[2Jno\nprompt 1: s3://images/1.png seed 7")


def test_a_file_that_cannot_be_read_is_not_put(house: House, tmp_path: Path) -> None:
    before = house.keys()
    for name, text, why in (
        ("empty.txt", "", "holds no prompt"),
        ("prompts.toml", "a = 1", "ends in one of"),
    ):
        (tmp_path / name).write_text(text)
        done = refused(house, tmp_path / name)
        assert done.exit_code == 1
        assert done.stderr.startswith("Error: ")
        assert why in done.stderr
    assert house.keys() == before


def test_it_must_be_clear_where_to(house: House, file: Path) -> None:
    for options, settings, why in (
        (["--bucket", "a", "--to", "http://b"], {}, "name either --bucket or --to"),
        ([], {"DARKROOM_PROMPT_BUCKETS": "a,b"}, "name the bucket with --bucket"),
        (["--timeout", "5"], {}, "--timeout is for --wait"),
    ):
        done = refused(house, file, *options, **settings)
        assert done.exit_code == 2
        assert why in done.stderr
    done = refused(house, file, DARKROOM_PROMPT_SUFFIX=".json")
    assert done.exit_code == 1
    assert "DARKROOM_PROMPT_SUFFIX is .json" in done.stderr
