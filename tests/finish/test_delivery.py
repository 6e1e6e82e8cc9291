"""Where files lie and how they are kept, through the door and on real stores."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
import urllib3
from PIL import Image

from function.demo.process import Child
from function.demo.s3server import S3Server
from function.demo.seaweedfs import SeaweedFS
from tests.darkroom import DarkroomProcess, outcome_of, without_urls
from tests.servers.minio import Minio
from tests.stores import new_bucket, running

KMS_KEY: Final = "pictures"
SETTINGS: Final = {
    "DARKROOM_DESTINATIONS": "team/art, press",
    "DARKROOM_TAGS": "team=art, project=red + green: 1",
    "DARKROOM_CACHE_CONTROL": "public, max-age=60",
}
OUTPUTS: Final = [{"format": "png"}, {"format": "webp", "quality": 50}, {"format": "jpeg", "max_side": 16}]
TYPES: Final = {"png": "image/png", "webp": "image/webp", "jpg": "image/jpeg"}


class EncryptingMinio(Minio):
    """A MinIO with a key management of its own, which holds one key."""

    def _spawn(self, command: Sequence[str | Path], environment: Mapping[str, str]) -> Child:
        secret = base64.b64encode(bytes(range(32))).decode()
        return super()._spawn(command, {**environment, "MINIO_KMS_SECRET_KEY": f"{KMS_KEY}:{secret}"})


@dataclass(frozen=True)
class Room:
    """A process that draws noise, on a store."""

    process: DarkroomProcess
    server: S3Server

    def drawn(self, id_: str | None = None, **prompt: Any) -> dict[str, Any]:
        """The completion of a prompt."""
        event = outcome_of(self.process.event({"prompt": "noise", **prompt}, id=id_ or uuid.uuid4().hex))
        assert event["type"] == "dev.darkroom.image.completed", event["data"]
        return event

    def head(self, key: str) -> Any:
        return self.server.client.head_object(Bucket="images", Key=key)

    def names(self) -> set[str]:
        pages = self.server.client.get_paginator("list_objects_v2").paginate(Bucket="images")
        return {row["Key"] for page in pages for row in page.get("Contents", ())}


@pytest.fixture(scope="module", params=[SeaweedFS, EncryptingMinio], ids=["seaweedfs", "minio"])
def room(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    folder = tmp_path_factory.mktemp("delivery")
    kms = {"DARKROOM_SSE_KMS_KEY": KMS_KEY} if request.param is EncryptingMinio else {}
    for server in running(request.param(folder / "s3", ["images"])):
        program = ("-m", "tests.drawing")
        with DarkroomProcess("render", server, folder, {**SETTINGS, **kms}, program=program) as process:
            yield Room(process.wait_ready(), server)


def files_of(event: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Every file that a completion names."""
    for image in event["data"]["images"]:
        yield image
        yield from image.get("renditions", ())


def test_every_file_is_what_the_outcome_says_it_is(room: Room) -> None:
    event = room.drawn(num_images=2, outputs=OUTPUTS, width=64, height=128)
    key = event["data"]["key"]
    names = [file["key"].removeprefix(f"images/{key}/") for file in files_of(event)]
    assert names == ["0.png", "0-1.webp", "0-2.jpg", "1.png", "1-1.webp", "1-2.jpg"]
    for file in files_of(event):
        body = urllib3.request("GET", file["url"]).data
        assert hashlib.sha256(body).hexdigest() == file["sha256"]
        assert len(body) == file["size"]
        with Image.open(io.BytesIO(body)) as picture:
            assert picture.get_format_mimetype() == file["content_type"]
            assert picture.size == (file["width"], file["height"])
            if picture.format == "JPEG":
                assert picture.size == (8, 16)
            if picture.format == "PNG":
                assert hashlib.sha256(picture.tobytes()).hexdigest() == file["pixels_sha256"]
    assert [image["seed"] for image in event["data"]["images"]] == [
        event["data"]["prompt"]["seed"],
        event["data"]["prompt"]["seed"] + 1,
    ]
    assert event["data"]["prompt"]["outputs"][2] == {"format": "jpeg", "quality": 90, "max_side": 16}


def test_a_redelivery_tells_the_same_of_each_file(room: Room) -> None:
    id_ = uuid.uuid4().hex
    first, second = (room.drawn(id_, outputs=OUTPUTS) for _ in range(2))
    assert without_urls(first) == without_urls(second)
    stored = json.loads(
        room.server.client.get_object(Bucket="images", Key=f"records/{first['data']['key']}.json")["Body"].read()
    )
    assert stored["outcome"] == without_urls(first)


def test_the_store_keeps_what_it_was_asked_for_with_pictures_alone(room: Room) -> None:
    event = room.drawn(outputs=OUTPUTS, destination={"prefix": "press"})
    key = event["data"]["key"]
    for file in files_of(event):
        name = file["key"].rpartition("/")[2]
        head = room.head(file["key"])
        assert head["ContentType"] == TYPES[name.rpartition(".")[2]] == file["content_type"]
        assert head["ContentDisposition"] == f'inline; filename="{key[:12]}-{name}"'
        assert head["CacheControl"] == "public, max-age=60"
        tags = room.server.client.get_object_tagging(Bucket="images", Key=file["key"])["TagSet"]
        assert {tag["Key"]: tag["Value"] for tag in tags} == {"team": "art", "project": "red + green: 1"}
        if isinstance(room.server, EncryptingMinio):
            assert head["ServerSideEncryption"] == "aws:kms"
            assert head["SSEKMSKeyId"].endswith(KMS_KEY)
    record = room.head(f"records/{key}.json")
    assert record.keys().isdisjoint({"ContentDisposition", "CacheControl", "SSEKMSKeyId"})
    assert room.server.client.get_object_tagging(Bucket="images", Key=f"records/{key}.json")["TagSet"] == []


@pytest.mark.parametrize(("metadata", "more"), [("full", {"seed", "model"}), ("none", set())], ids=["full", "none"])
def test_whoever_has_the_url_is_told_of_the_drawing_as_much_as_is_wanted(
    seaweedfs: S3Server, tmp_path: Path, metadata: str, more: set[str]
) -> None:
    """And a redelivery that finds the pictures without their record tells the same of them."""
    bucket, program = new_bucket(seaweedfs, "images"), ("-m", "tests.drawing")
    environment = {"DARKROOM_IMAGE_BUCKET": bucket, "DARKROOM_METADATA": metadata}
    prompt = {"seed": 987_654_321, "num_images": 2, "outputs": [{}, {"format": "webp"}]}
    with DarkroomProcess("render", seaweedfs, tmp_path, environment, program=program) as process:
        room = Room(process.wait_ready(), seaweedfs)
        first = room.drawn("one", **prompt)
        for file in files_of(first):
            headers = urllib3.request("GET", file["url"]).headers
            names = {name.lower() for name in headers if name.lower().startswith("x-amz-meta-")}
            told = {name.removeprefix("x-amz-meta-") for name in names}
            assert told == {"sha256", "pixels-sha256", "prompt-hash", "size", "width", "height"} | more
            assert any("98765432" in value for value in headers.values()) == bool(more)
        key = first["data"]["key"]
        seaweedfs.client.delete_object(Bucket=bucket, Key=f"records/{key}.json")
        again = room.drawn("one", **prompt)
    assert seaweedfs.client.head_object(Bucket=bucket, Key=f"claims/{key}/2"), "it was drawn again"
    assert without_urls(again)["data"]["images"] == without_urls(first)["data"]["images"]


@pytest.mark.parametrize("prefix", ["press", "team/art", "team/art/2026/november"])
def test_a_picture_is_kept_below_the_prefix_that_was_asked_for(room: Room, prefix: str) -> None:
    before = room.names()
    event = room.drawn(outputs=[{}, {"format": "avif"}], destination={"prefix": prefix})
    key = event["data"]["key"]
    assert [file["key"] for file in files_of(event)] == [f"{prefix}/{key}/0.png", f"{prefix}/{key}/0-1.avif"]
    assert {name for name in room.names() - before if not name.startswith(("claims/", "records/"))} == {
        file["key"] for file in files_of(event)
    }
    for file in files_of(event):
        assert hashlib.sha256(urllib3.request("GET", file["url"]).data).hexdigest() == file["sha256"]


@pytest.mark.parametrize("prefix", ["team", "team/artist", "pres", "records", "claims/x", "images", "images/x", "told"])
def test_another_prefix_is_refused_with_those_that_there_are_and_nothing_is_written(room: Room, prefix: str) -> None:
    before = room.names()
    id_ = uuid.uuid4().hex
    answer = room.process.event({"prompt": "noise", "destination": {"prefix": prefix}}, id=id_)
    assert answer.status == 422
    assert "there are team/art, press" in answer.data.decode()
    assert prefix == "team" or prefix not in answer.data.decode().replace("press", "")
    assert room.names() == before
    assert room.drawn(id_)["data"]["images"], "and the key is free for another prompt"


@pytest.mark.parametrize("prefix", ["../records", "press/../records", "/press", "press//x", "press/.", "press\\x"])
def test_no_prefix_leads_out(room: Room, prefix: str) -> None:
    answer = room.process.event({"prompt": "noise", "destination": {"prefix": prefix}}, id=uuid.uuid4().hex)
    data = outcome_of(answer)["data"]
    assert data["code"] == "invalid_prompt"
    assert [fault["where"] for fault in data["faults"]] == ["destination.prefix"]
    assert not [
        key for key in room.names() if not key.startswith(("claims/", "images/", "press/", "records/", "team/"))
    ]
