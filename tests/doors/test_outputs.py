"""A real picture as several files: each shows what was asked, and says how to draw it again."""

from __future__ import annotations

import hashlib
import io
import uuid
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final
from urllib.request import urlopen

from PIL import Image

from function import __version__
from function.finish.reading import seen
from tests.darkroom import darkroom, outcome_of
from tests.doors.conftest import Doors
from tests.judge import is_right

SENTENCE: Final = "a red star on a white background"
PROMPT: Final = {"prompt": SENTENCE, "num_inference_steps": 20, "seed": 7}
OUTPUTS: Final = [{"format": one} for one in ("webp", "png", "jpeg", "avif")] + [{"format": "jpeg", "max_side": 64}]


def drawn(doors: Doors, prompt: dict[str, Any]) -> dict[str, Any]:
    data: dict[str, Any] = outcome_of(doors.process.event(prompt, id=uuid.uuid4().hex))["data"]
    return data


def fetched(file: dict[str, Any]) -> bytes:
    with urlopen(file["url"], timeout=30) as answer:  # noqa: S310
        body: bytes = answer.read()
    assert hashlib.sha256(body).hexdigest() == file["sha256"]
    return body


def test_each_file_shows_what_was_asked_and_says_how_to_draw_it_again(doors: Doors, tmp_path: Path) -> None:
    data = drawn(doors, PROMPT | {"outputs": OUTPUTS})
    (image,) = data["images"]
    bodies = {file["key"].rpartition("/")[2]: fetched(file) for file in (image, *image["renditions"])}
    assert list(bodies) == ["0.webp", "0-1.png", "0-2.jpg", "0-3.avif", "0-4.jpg"]
    for body in bodies.values():
        with Image.open(io.BytesIO(body)) as picture:
            assert is_right(picture.convert("RGB").resize((128, 128)), SENTENCE)
        said = seen(body)
        assert said.record is not None
        assert said.record["software"] == data["software"]
        assert said.record["key"] == data["key"]

    # What any of the files says is enough to have the same pixels again.
    assert said.record is not None
    again = drawn(doors, said.record["prompt"] | {"outputs": [{"format": "png"}]})
    assert again["images"][0]["pixels_sha256"] == image["pixels_sha256"]
    with Image.open(io.BytesIO(bodies["0-1.png"])) as picture:
        assert hashlib.sha256(picture.tobytes()).hexdigest() == image["pixels_sha256"]
    other = drawn(doors, PROMPT | {"seed": 8})
    assert other["images"][0]["pixels_sha256"] != image["pixels_sha256"]

    (tmp_path / "star.webp").write_bytes(bodies["0.webp"])
    told = darkroom("inspect", str(tmp_path / "star.webp"))
    assert told.returncode == 0, told.stderr
    assert f"  prompt   {SENTENCE}\n" in told.stdout
    assert "  source   http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia\n" in told.stdout


def test_the_record_says_what_drew(doors: Doors) -> None:
    data = drawn(doors, PROMPT)
    installed = {name: version(name) for name in ("diffusers", "pillow", "torch", "transformers")}
    assert data["software"].items() >= {"darkroom": __version__, **installed}.items()
    assert data["device"].startswith("cpu (")
    assert data["device"].endswith("), float32")
    assert data["timings"].keys() >= {"denoise", "decode", "encode"}
    assert data["model"]["name"] == "models/shapes"
