"""Marks through the doors: what the bucket holds is signed, and is what the event says; and who may not start."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from function.demo.s3server import S3Server
from function.finish.verification import State, Verifier
from function.finish.xmp import SourceType, source_type
from tests.darkroom import DarkroomProcess, darkroom, outcome_of
from tests.finish.conftest import Exiftool
from tests.finish.marked import FORMATS, issued, pixels_of
from tests.finish.second_reader import read
from tests.stores import new_bucket

CHAOS = os.environ.get("DARKROOM_CHAOS") == "full"
PROMPT = {"prompt": "a red circle on a blue background", "num_inference_steps": 1}


@pytest.fixture(scope="module")
def signing(seaweedfs: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DarkroomProcess]:
    """A `darkroom render` that has to sign."""
    folder = tmp_path_factory.mktemp("signing")
    issued().write(folder)
    environment = {
        "DARKROOM_IMAGE_BUCKET": new_bucket(seaweedfs, "images"),
        "DARKROOM_MARK": "c2pa",
        "DARKROOM_C2PA_CERTIFICATE": str(folder / "certificate.pem"),
        "DARKROOM_C2PA_KEY": str(folder / "key.pem"),
    }
    with DarkroomProcess("render", seaweedfs, folder, environment) as process:
        yield process.wait_ready()


@pytest.fixture
def fetched(signing: DarkroomProcess, seaweedfs: S3Server) -> Any:
    """Draws a prompt and gives each of its files: what the event says of it, and its bytes in the bucket."""

    def draw(prompt: dict[str, Any]) -> list[tuple[dict[str, Any], bytes]]:
        outcome = outcome_of(signing.event(prompt, id=str(uuid.uuid4())))
        files = [file for image in outcome["data"]["images"] for file in (image, *image.get("renditions", []))]
        client = seaweedfs.client
        return [(one, client.get_object(Bucket=one["bucket"], Key=one["key"])["Body"].read()) for one in files]

    return draw


def test_what_is_stored_is_signed_and_is_what_the_event_says(fetched: Any) -> None:
    files = fetched({**PROMPT, "outputs": [{"format": name} for name in FORMATS]})
    verify = Verifier(issued().authority.decode())
    assert [said["content_type"] for said, _ in files] == [f"image/{name}" for name in FORMATS]
    for said, body in files:
        assert said["sha256"] == hashlib.sha256(body).hexdigest()
        assert said["size"] == len(body)
        verdict = verify(body)
        assert (verdict.state, verdict.trusted, verdict.source_type) == (State.VALID, True, SourceType.GENERATED)


@pytest.mark.chaos
def test_all_of_many_outputs_are_read_by_others(fetched: Any, tmp_path: Path, exiftool: Exiftool) -> None:
    """200 files of all formats and sizes; in a slice, 8."""
    outputs = [{"format": name, "max_side": side} for side in (128, 48) for name in FORMATS]
    prompts = [{**PROMPT, "num_images": 2 if CHAOS else 1, "seed": seed, "outputs": outputs} for seed in range(13)]
    files = [file for prompt in (prompts if CHAOS else prompts[:1]) for file in fetched(prompt)]
    assert len(files) >= (200 if CHAOS else 8)
    for index, (said, body) in enumerate(files):
        kind = said["content_type"].removeprefix("image/")
        (tmp_path / f"{index}.{kind}").write_bytes(body)
        assert Verifier()(body).state is State.VALID
        assert pixels_of(body).shape == (said["height"], said["width"], 3)
        if kind == "png":
            assert read(body).actions[0]["digitalSourceType"] == SourceType.GENERATED
    told = exiftool(tmp_path, "-G1", "-n", "-XMP:all", "-Warning", "-CBOR:all", "-JUMBF:all")
    assert len(told) == len(files)
    for one in told:
        assert one["XMP-iptcExt:DigitalSourceType"] == SourceType.GENERATED, one
        assert not [name for name in one if "Warning" in name], one


def test_by_default_the_xmp_is_there(seaweedfs: S3Server, tmp_path: Path) -> None:
    bucket = new_bucket(seaweedfs, "images")
    with DarkroomProcess("render", seaweedfs, tmp_path, {"DARKROOM_IMAGE_BUCKET": bucket}) as process:
        outcome = outcome_of(process.wait_ready().event(PROMPT, id="plain"))
    body = seaweedfs.client.get_object(Bucket=bucket, Key=outcome["data"]["images"][0]["key"])["Body"].read()
    assert source_type(body) == SourceType.GENERATED
    assert Verifier()(body).state is State.UNSIGNED


@pytest.mark.parametrize("command", ["render", "serve"])
def test_a_server_that_has_to_sign_and_cannot_does_not_start(command: str) -> None:
    run = darkroom(command, DARKROOM_MARK="c2pa", DARKROOM_PROMPT_BUCKETS="prompts")
    assert run.returncode == 1
    assert "Error: DARKROOM_MARK is c2pa, and DARKROOM_C2PA_CERTIFICATE and DARKROOM_C2PA_KEY are not set" in run.stderr
