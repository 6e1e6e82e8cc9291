"""From a file that is put into a bucket to its picture, and to the event that a second subscriber hears."""

from __future__ import annotations

import io
import json
import time
from datetime import datetime
from functools import partial
from typing import Final

import pytest
from PIL import Image

from events import IMAGE_COMPLETED, IMAGE_REQUESTED
from tests.darkroom import without_urls
from tests.e2e.cluster import until
from tests.e2e.figures import Figures
from tests.e2e.installation import PATIENCE, Installation, new_id
from tests.judge import is_right

pytestmark = pytest.mark.e2e

CAPTION: Final = "a red star on a white background"
# With this seed the miniature draws what was asked.
SEEDED: Final = {"prompt": CAPTION, "num_inference_steps": 20, "seed": 5}


@pytest.mark.parametrize("state", ["from zero", "warm"])
def test_a_file_becomes_a_picture_and_an_event(installation: Installation, figures: Figures, state: str) -> None:
    if state == "warm":
        installation.outcome(installation.request().key)
    else:
        installation.asleep()
    name = f"e2e/{new_id()}.json"
    put = time.time()
    sent = installation.drop(name, SEEDED)
    told = installation.outcome(sent.key)

    assert told["type"] == IMAGE_COMPLETED
    assert told["subject"] == f"prompts/{name}"
    (image,) = told["data"]["images"]
    assert is_right(Image.open(io.BytesIO(installation.read(image["key"]))), CAPTION)
    result = json.loads(installation.read(f"results/prompts/{name}.0.json"))
    assert without_urls(result)["data"] == without_urls(told.event)["data"]
    assert installation.attempts(sent.key) == ["committed"]
    assert installation.dead(sent.key) == []

    # A second telling is no fault: what is promised is one render.
    dropped, *_ = installation.announced(name)
    asked = partial(installation.listener.heard, type=IMAGE_REQUESTED, id=sent.id)
    requested, *_ = until(asked, "the listener hears the request", PATIENCE)
    ended = datetime.fromisoformat(told["time"]).timestamp()
    drawing = sum(told["data"]["timings"].values())
    for what, seconds in (
        ("put, webhook, door, broker", dropped.at - put),
        ("expander, broker", requested.at - dropped.at),
        ("until a pod is there and free", ended - drawing - requested.at),
        ("draw, store", drawing),
        ("reply, broker, subscriber", told.at - ended),
        ("in all", told.at - put),
    ):
        figures.note(f"bucket, {state}", what, float(seconds))
