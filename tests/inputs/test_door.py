"""Input objects through a real door, on a real store."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from events.request import ObjectRef
from function.demo.s3server import S3Server
from tests.contract.validate import validated
from tests.darkroom import DarkroomProcess, outcome_of, without_urls
from tests.inputs.hostile import picture
from tests.stores import new_bucket

PICTURE = picture("WEBP", 64, 48)


@dataclass(frozen=True)
class Room:
    """A process that draws noise, with its buckets."""

    process: DarkroomProcess
    server: S3Server
    images: str
    inputs: str

    def put(self, key: str, body: bytes) -> str:
        self.server.client.put_object(Bucket=self.inputs, Key=key, Body=body)
        return f"s3://{self.inputs}/{key}"

    def ask(self, id: str, **prompt: Any) -> Any:
        return self.process.event({"prompt": "a cat"} | prompt, id=id)

    def read(self, key: str) -> Any:
        return json.loads(self.server.client.get_object(Bucket=self.images, Key=key)["Body"].read())

    def records(self) -> set[str]:
        pages = self.server.client.get_paginator("list_objects_v2").paginate(Bucket=self.images)
        return {row["Key"] for page in pages for row in page.get("Contents", ())}


@pytest.fixture(scope="module")
def room(seaweedfs: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    images, inputs = new_bucket(seaweedfs, "images"), new_bucket(seaweedfs, "inputs")
    environment = {
        "DARKROOM_IMAGE_BUCKET": images,
        "DARKROOM_INPUT_BUCKETS": f"{inputs},not-there",
        "DARKROOM_MAX_INPUT_FILE": "100000",
    }
    folder = tmp_path_factory.mktemp("inputs")
    with DarkroomProcess("render", seaweedfs, folder, environment, program=("-m", "tests.drawing")) as process:
        yield Room(process.wait_ready(), seaweedfs, images, inputs)


def test_the_record_says_what_the_picture_began_with(room: Room) -> None:
    uri = room.put("ä b/cat.webp", PICTURE)
    outcome = outcome_of(room.ask("begun", image=uri, strength=0.5))
    assert outcome["data"]["prompt"]["image"] == {"uri": uri, "sha256": hashlib.sha256(PICTURE).hexdigest()}
    room.put("ä b/cat.webp", b"another")
    assert without_urls(outcome_of(room.ask("begun", image=uri, strength=0.5))) == without_urls(outcome)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (None, "is not there"),
        (b"a red star", "is no PNG, JPEG or WebP"),
        (PICTURE[:-4], "is cut off"),
        (bytes(100_001), "is larger than 100000 bytes"),
    ],
    ids=str,
)
def test_what_cannot_be_used_is_a_recorded_failure(room: Room, body: bytes | None, sentence: str) -> None:
    name = hashlib.sha256(sentence.encode()).hexdigest()
    uri = room.put(name, body) if body is not None else f"s3://{room.inputs}/{name}"
    outcome = outcome_of(room.ask(name, image=uri))["data"]
    assert outcome["code"] == "input_unusable"
    assert outcome["faults"] == [{"where": "image", "message": sentence}]
    room.put(name, PICTURE)
    assert outcome_of(room.ask(name, image=uri))["data"]["code"] == "input_unusable", "it was recorded"


def test_a_bucket_that_is_not_for_inputs_is_422_and_leaves_nothing(room: Room) -> None:
    before = room.records()
    answer = room.ask("elsewhere", image=f"s3://{room.images}/cat.png")
    assert answer.status == 422
    text = answer.data.decode()
    assert text.startswith("image is in no bucket that this installation takes pictures from; they may lie in ")
    assert text.count("\n") == 1
    assert room.images not in text
    assert room.records() == before


def test_a_refiner_that_is_not_installed_is_422(room: Room) -> None:
    answer = room.ask("unrefined", refiner="image", num_inference_steps=10)
    assert (answer.status, answer.data[:9]) == (422, b"refiner: ")


def test_of_a_dropped_file_the_refusal_lies_beside_its_name_until_it_is_drawn(room: Room) -> None:
    ref, before = ObjectRef("prompts", "cat.json", etag="e"), room.records()

    def ask(**prompt: Any) -> Any:
        data = {"prompt": "a cat", "object": ref.as_data()} | prompt
        return room.process.event(data, id=ref.prompt_id(0), source=ref.source, batchindex="0")

    assert ask(image="s3://secrets/cat.png").status == 422
    name = "results/prompts/cat.json.0.json"
    assert room.records() - before == {name}
    left = validated(room.read(name))
    assert left["data"]["code"] == "lacking"
    assert left["data"]["message"].startswith("image is in no bucket that this installation takes pictures from")
    assert left["causationid"] == ref.prompt_id(0)
    outcome = outcome_of(ask())
    assert "images" in outcome["data"], "what was refused is not recorded, so that another prompt has the key"
    assert room.read(name)["id"] == outcome["id"] != left["id"]


def test_a_bucket_that_is_away_is_503_and_counts_for_nothing(room: Room) -> None:
    for _ in range(4):
        assert room.ask("away", image="s3://not-there/cat.png").status == 503
    claims = [key for key in room.records() if key.startswith("claims/")]
    ended = [room.read(key) for key in claims]
    missing = [claim for claim in ended if claim.get("ended") == "BucketMissing"]
    assert [claim["counts"] for claim in missing] == [False] * 4
