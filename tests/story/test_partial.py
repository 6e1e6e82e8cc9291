"""Some of a prompt's pictures cannot be drawn: the outcome says which, why, and what was unusual about the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from events.prompt import Prompt
from events.request import Request
from function.errors import Unmarked
from function.render import NO_SOURCES, Missing, Picture, Remark, Rendering, Sources
from tests.contract.validate import validated
from tests.story.test_story import Room, Scripted

SEED = 2**64 - 2
MANY = Request("/tests", "many", {"prompt": "a red star", "num_images": 4, "seed": SEED})
# Of 2**64 - 2, 2**64 - 1, 0 and 1.
SECOND, THIRD = 2**64 - 1, 0


@dataclass
class Partly(Scripted):
    """Draws all pictures but some."""

    without: tuple[int, ...] = (SECOND,)

    def render(
        self, prompt: Prompt, seed: int, between_steps: Callable[[], None], sources: Sources = NO_SOURCES
    ) -> Rendering:
        rendering = super().render(prompt, seed, between_steps, sources)
        seeds = [(seed + k) % 2**64 for k in range(prompt.num_images)]
        # Each picture tells by its pixels which one it is.
        pixels = {one: np.full((64, 64, 3), k, np.uint8) for k, one in enumerate(seeds)}
        return replace(
            rendering,
            pictures=tuple(Picture(pixels[one], one) for one in seeds if one not in self.without),
            missing=tuple(Missing(one, "no_picture", "the UNet gave NaN") for one in self.without),
            remarks=(Remark(THIRD, "in_tiles"), Remark(THIRD, "decoded_again")),
        )


def seeds(outcome: dict[str, Any]) -> list[int]:
    return [image["seed"] for image in outcome["data"]["images"]]


def test_the_outcome_says_what_is_missing_and_what_was_unusual() -> None:
    outcome = validated(Room(Partly()).outcome(MANY))
    assert seeds(outcome) == [SEED, 0, 1]
    assert outcome["data"]["missing"] == [{"seed": SECOND, "code": "no_picture", "message": "the UNet gave NaN"}]
    assert outcome["data"]["remarks"] == [
        {"seed": THIRD, "what": "in_tiles"},
        {"seed": THIRD, "what": "decoded_again"},
    ]


def test_of_what_is_as_ever_nothing_is_said() -> None:
    data = Room().outcome()["data"]
    assert data.keys().isdisjoint({"missing", "remarks"})


def test_a_picture_has_its_own_key_whichever_are_missing() -> None:
    room = Room(Partly())
    keep = room.store.create
    kept: list[str] = []

    def fails_at_the_record(key: str, body: bytes, *rest: Any) -> bool:
        if key.startswith("records/") and not kept:
            kept.append(key)
            raise Unmarked
        return keep(key, body, *rest)

    room.store.create = fails_at_the_record  # type: ignore[method-assign,assignment]
    with pytest.raises(Unmarked):
        room.outcome(MANY)
    # The next attempt has better luck with the one, and worse with another; what is stored counts.
    room.renderer = room.darkroom._renderer = Partly(without=(THIRD,))  # noqa: SLF001
    outcome = room.outcome(MANY)
    assert seeds(outcome) == [SEED, SECOND, 1]
    assert [image["key"].rpartition("/")[2] for image in outcome["data"]["images"]] == ["0.png", "1.png", "3.png"]
    assert len({image["pixels_sha256"] for image in outcome["data"]["images"]}) == 3
