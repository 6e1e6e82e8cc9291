"""The same prompt and seed draw the same picture, by every route."""

from __future__ import annotations

import io
import urllib.request
import uuid
from typing import Any

from PIL import Image

from tests.darkroom import outcome_of
from tests.doors.conftest import Doors

PROMPT = {"prompt": "a red star on a white background", "num_inference_steps": 4}


def picture(event: dict[str, Any], index: int = 0) -> bytes:
    """The pixels; beside them a file says what it is, such as its request's key."""
    with urllib.request.urlopen(event["data"]["images"][index]["url"], timeout=30) as answer:  # noqa: S310
        return Image.open(io.BytesIO(answer.read())).convert("RGB").tobytes()


def drawn(doors: Doors, id: str, **more: object) -> dict[str, Any]:
    return outcome_of(doors.process.event(PROMPT | more, id=id))


def test_the_same_seed_draws_the_same_picture(doors: Doors) -> None:
    first, second = (drawn(doors, str(uuid.uuid4()), seed=2**64 - 1) for _ in range(2))
    assert first["data"]["key"] != second["data"]["key"]
    assert picture(first) == picture(second)
    assert first["data"]["images"][0]["seed"] == 2**64 - 1


def test_another_seed_draws_another_picture(doors: Doors) -> None:
    first, second = (drawn(doors, str(uuid.uuid4()), seed=seed) for seed in (0, 1))
    assert first["data"]["images"][0]["seed"] == 0
    assert picture(first) != picture(second)


def test_an_open_seed_comes_from_the_key(doors: Doors) -> None:
    id_ = str(uuid.uuid4())
    event = drawn(doors, id_)
    seed = event["data"]["images"][0]["seed"]
    assert seed == int(event["data"]["key"][:16], 16)
    assert picture(drawn(doors, str(uuid.uuid4()), seed=seed)) == picture(event)
    assert drawn(doors, id_)["data"]["images"][0]["seed"] == seed


def test_each_picture_of_several_is_drawn_as_it_would_be_alone(doors: Doors) -> None:
    several = drawn(doors, str(uuid.uuid4()), seed=2**64 - 1, num_images=2)
    assert [image["seed"] for image in several["data"]["images"]] == [2**64 - 1, 0]
    assert picture(several, 1) == picture(drawn(doors, str(uuid.uuid4()), seed=0))
