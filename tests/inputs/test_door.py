"""Input objects through a real door, on a real store."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from events.request import ObjectRef
from function.demo.s3server import S3Server
from tests.contract.validate import validated
from tests.darkroom import DarkroomProcess, outcome_of, without_urls
from tests.inputs.hostile import picture
from tests.render.adapting import listed
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


def test_an_adapter_for_another_model_is_422_and_counts_for_nothing(seaweedfs: S3Server, tmp_path: Path) -> None:
    layer = "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
    save_file({f"{layer}.lora_{half}.weight": torch.ones(4, 4) for half in "AB"}, tmp_path / "other.safetensors")
    adapters = tmp_path / "adapters.json"
    adapters.write_text(json.dumps({"other": {"kind": "lora"} | listed(tmp_path / "other.safetensors", tmp_path)}))
    images = new_bucket(seaweedfs, "images")
    environment = {
        "DARKROOM_IMAGE_BUCKET": images,
        "DARKROOM_ADAPTERS": str(adapters),
        "DARKROOM_WARM_UP_STEPS": "0",
    }
    with DarkroomProcess("render", seaweedfs, tmp_path, environment) as process:
        room = Room(process.wait_ready(), seaweedfs, images, inputs="")
        for _ in range(4):
            answer = room.ask("misfit", loras=[{"name": "other"}])
            assert answer.status == 422
            assert answer.data.decode().strip() == (
                "lora other does not fit this model: its tensors are not named and sized as this model's"
            )
        # An attempt that counts would be the third of three, and its failure recorded.
        ends = [room.read(key) for key in room.records() if key.startswith("claims/")]
        assert [(end["ended"], end["counts"]) for end in ends] == [("Lacking", False)] * 4
        assert not any(key.startswith("records/") for key in room.records())
        assert "images" in outcome_of(room.ask("plain", num_inference_steps=1))["data"]
