"""Whatever a stranger calls an event or an object, every key that is written fits the layout."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from events import IMAGE_REQUESTED, PROMPTS_DROPPED
from events.request import ObjectRef, Request, from_object
from function.bucket.images import Images
from function.bucket.inputs import Inputs
from function.bucket.keeping import Keeping
from function.errors import DarkroomError
from function.finish.finishing import Finishing
from function.ledger.settling import Settling
from function.metrics import Metrics
from function.rendering import Darkroom
from function.slots import Slots
from tests.drawing import Drawing
from tests.intake.room import Room
from tests.sizing import sized

KEY: Final = "[0-9a-f]{64}"
LAYOUT: Final = re.compile(
    rf"claims/{KEY}/[0-9]+|images/{KEY}/[0-9]+(-[0-9]+)?\.(png|jpg|webp|avif)|records/{KEY}\.json|told/{KEY}|files/{KEY}|dead/{KEY}/[0-9TZ.]+json"
    r"|results/[A-Za-z0-9][A-Za-z0-9._-]+/.+\.[0-9]+\.json",
    re.DOTALL,
)
ANYTHING: Final = st.text(st.characters(codec=None, exclude_categories=()), min_size=1, max_size=80)
CLIMBING: Final = st.lists(
    st.sampled_from(
        ["..", ".", "/", "//", "\\", "%2e%2e", "%2f", "results", "claims", "\0", "\n", "x" * 300, "é" * 200]
    ),
    min_size=1,
    max_size=8,
).map("".join)
NAMES: Final = ANYTHING | CLIMBING | st.builds(lambda one, other: f"{one}/{other}", CLIMBING, ANYTHING)
PROMPT: Final = {"prompt": "a red star", "outputs": [{}, {"format": "webp"}]}


def misplaced(key: str) -> str | None:
    """What is wrong with a key that was written."""
    if not LAYOUT.fullmatch(key):
        return "not of the layout"
    parts = key.encode().split(b"/")
    if {b".", b".."} & set(parts):
        return "a way out"
    if len(key.encode()) > 1024 or max(map(len, parts)) > 255:
        return "too long for some stores"
    return None


@pytest.mark.chaos
def test_every_key_fits_the_layout() -> None:
    room = Room()
    darkroom = Darkroom(
        settling=Settling(
            ledger=room.ledger, telling=room.telling, health=room.health, metrics=room.metrics, source="/darkroom"
        ),
        slots=Slots(),
        renderer=Drawing(),
        finish=Finishing(),
        images=Images(room.images),
        metrics=Metrics(),
        render_limit=60,
        store_patience=0,
        keeping=Keeping(),
        inputs=Inputs({}, 0),
    )

    def post(type: str, data: object, **identity: str) -> None:
        with suppress(DarkroomError):
            room.post(room.event(type, data, **identity))

    @settings(max_examples=sized(200, 10_000), deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(NAMES, NAMES, NAMES)
    def write(id_: str, source: str, name: str) -> None:
        darkroom(Request(source, id_, PROMPT))
        # Whoever publishes a request names its object as he likes, and can compute the id that makes it believed.
        darkroom(from_object(ObjectRef(source, name, "v", "e"), 0, {"prompt": ""}))
        room.prompts.write(f"in/{name}", json.dumps(PROMPT | {"width": 1}).encode())
        for key in (f"in/{name}", name):
            post(PROMPTS_DROPPED, {"object": {"bucket": "prompts", "key": key}})
        post(IMAGE_REQUESTED, {"prompt": name}, id=id_, source=source)
        for bucket in ("images", "results", "../images", name):
            post(PROMPTS_DROPPED, {"object": {"bucket": bucket, "key": name, "etag": "e"}})

    # Not printed: standard output, unlike our log, cannot hold half of a surrogate pair.
    with capture_logs():
        write()
    keys = [listed.key for listed in room.images.list("")]
    found = {prefix: sum(key.startswith(f"{prefix}/") for key in keys) for prefix in ("claims", "images", "results")}
    print(f"{len(keys)} keys: {found}")
    assert {misplaced(key) for key in keys} == {None}
    assert all(found.values()), "what is not written cannot be misplaced"


@pytest.mark.parametrize(
    "key",
    ["records/x.json", f"records/{'0' * 64}.json/x", "results/prompts/../../claims/x.0.json", "results/../x.0.json"],
)
def test_a_misplaced_key_is_found(key: str) -> None:
    assert misplaced(key)
