"""Where not all is in an answer: pictures that could not be drawn, and files that are too large; it says so."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any, cast

import pytest

from events.request import Request
from function.doors.generate import MOST_BYTES, TOO_LARGE, Desk, GenerateDoor
from function.doors.openai import OpenAIDoor
from function.rendering import Darkroom
from tests.fakes import MemoryStore

MISSING = [{"seed": 8, "code": "out_of_memory", "message": "the picture does not fit into memory"}]
FILE = b64encode(b"the picture").decode()
IMAGE = {"key": "images/a/0.png", "url": "https://x.example/0.png", "seed": 7, "width": 8, "height": 8, "size": 11}


class HalfDone:
    """A darkroom that has drawn one of two pictures."""

    def answer(self, request: Request) -> Mapping[str, Any]:
        image = {**IMAGE, "content_type": "image/png"}
        data = {"key": request.key, "prompt": {"num_images": 2}, "images": [image], "missing": MISSING}
        return {"time": "2026-11-29T12:00:00+00:00", "data": data}


def desk_with(most_bytes: int = MOST_BYTES) -> Desk:
    store = MemoryStore()
    store.write("images/a/0.png", b"the picture")
    return Desk(cast("Darkroom", HalfDone()), store, most_bytes=most_bytes)


@pytest.fixture
def desk() -> Desk:
    return desk_with()


def test_generate_still_answers_with_a_list(desk: Desk) -> None:
    answer = json.loads(GenerateDoor(desk)({}, b'{"prompt": "two", "num_images": 2}').data)
    (image,) = answer["images"]
    assert (b64decode(image["image"]), image["seed"]) == (b"the picture", 7)
    assert answer["missing"] == MISSING
    assert "image" not in answer


def test_openais_door_says_it_beside_the_pictures(desk: Desk) -> None:
    answer = json.loads(OpenAIDoor(desk, "shapes")({}, b'{"prompt": "two", "n": 2}').data)
    assert len(answer["data"]) == 1
    assert answer["missing"] == MISSING
    assert "left_out" not in answer


@pytest.mark.parametrize("most", [10, 11])
def test_generate_gives_urls_where_the_files_are_too_large(most: int) -> None:
    answer = json.loads(GenerateDoor(desk_with(most))({}, b'{"prompt": "two", "num_images": 2}').data)
    (image,) = answer["images"]
    assert image["url"] == IMAGE["url"]
    assert (image.get("image"), answer.get("left_out")) == ((None, TOO_LARGE), (FILE, None))[most - 10]


@pytest.mark.parametrize("most", [10, 11])
@pytest.mark.parametrize("format_", ["b64_json", "url", None])
def test_openais_door_gives_urls_too(format_: str | None, most: int) -> None:
    asked = json.dumps({"prompt": "two", "n": 2, "response_format": format_})
    answer = json.loads(OpenAIDoor(desk_with(most), "shapes")({}, asked.encode()).data)
    (image,) = answer["data"]
    too_large = most == 10 and format_ != "url"
    assert image.get("b64_json") == (None if too_large or format_ == "url" else FILE)
    assert image.get("url") == (IMAGE["url"] if too_large or format_ != "b64_json" else None)
    assert answer.get("left_out") == (TOO_LARGE if too_large else None)
