"""What ends a request otherwise than by a picture: limits, GPU faults, attempts that died, files that are gone."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from events.envelope import encode_json
from events.prompt import Prompt
from events.request import ObjectRef, Request, from_object
from function import layout
from function.bucket.images import Images
from function.bucket.inputs import Inputs
from function.bucket.keeping import Keeping
from function.errors import AccessDenied, Busy, Draining, GpuLost, InProgress, NoPicture, OutOfMemory, StoreDown
from function.finish import Finish
from function.finish.finishing import Finishing
from function.health import Health, State
from function.ledger import Ledger
from function.ledger.settling import Settling
from function.metrics import Metrics
from function.render import NO_SOURCES, Model, Picture, Rendering, Sources
from function.rendering import Darkroom
from function.slots import Slots
from function.telling import PublicUrls, Telling
from tests.fakes import MemoryStore, RecordingSink

REQUEST = Request("/tests", "1", {"prompt": "a red star"})
FILE = ObjectRef("prompts", "a.json", etag="0" * 32)
FROM_FILE = from_object(FILE, 0, {"prompt": "a red star"})


@dataclass
class Scripted:
    """A renderer that does as the test says between its steps."""

    act: Callable[[], None] = lambda: None
    steps: int = 2
    renders: int = 0
    model: Model = field(default_factory=lambda: Model("scripted"))

    def load(self) -> None:
        pass

    def check(self, prompt: Prompt) -> None:
        pass

    def render(
        self, prompt: Prompt, seed: int, between_steps: Callable[[], None], sources: Sources = NO_SOURCES
    ) -> Rendering:
        del sources
        self.renders += 1
        for _ in range(self.steps):
            self.act()
            between_steps()
        filled = {"width": 64, "height": 64, "seed": seed, "scheduler": "EulerDiscreteScheduler"}
        return Rendering(
            (Picture(np.zeros((64, 64, 3), np.uint8), seed),), prompt.model_dump() | filled, {"denoise": 0.1}
        )


@dataclass
class Room:
    """A darkroom on a store in memory."""

    renderer: Scripted = field(default_factory=Scripted)
    store: MemoryStore = field(default_factory=MemoryStore)
    sink: RecordingSink | None = None
    limit: float = 60
    patience: float = 0
    results_tell: bool = False
    slots: Slots = field(default_factory=Slots)
    finish: Finish = field(default_factory=Finishing)

    def __post_init__(self) -> None:
        self.health = Health()
        self.health.loaded()
        self.darkroom = Darkroom(
            settling=Settling(
                ledger=Ledger(self.store),
                telling=Telling(self.store, PublicUrls("https://x.example"), self.sink, results_tell=self.results_tell),
                health=self.health,
                metrics=Metrics(),
                source="/darkroom",
            ),
            slots=self.slots,
            renderer=self.renderer,
            finish=self.finish,
            images=Images(self.store),
            metrics=Metrics(),
            render_limit=self.limit,
            store_patience=self.patience,
            keeping=Keeping(),
            inputs=Inputs({}, 1),
        )

    def outcome(self, request: Request = REQUEST) -> dict[str, Any]:
        event = self.darkroom(request)
        assert event is not None
        return event

    def recorded(self, request: Request = REQUEST) -> bool:
        return self.store.read(layout.record(request.key)) is not None

    def died(self, attempts: str) -> None:
        """Leave attempts that ended, + for each that counts, - for each that does not."""
        for number, sign in enumerate(attempts, 1):
            body = {"owner": "other", "prompt_hash": REQUEST.prompt_hash, "ended": "crashed", "counts": sign == "+"}
            self.store.create(layout.claim(REQUEST.key, number), encode_json(body))

    def last_claim(self, number: int) -> dict[str, Any]:
        stored = self.store.read(layout.claim(REQUEST.key, number))
        assert stored is not None
        claim: dict[str, Any] = json.loads(stored.body)
        return claim


def raises(error: Exception) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


def test_a_render_over_the_limit_is_stopped_between_steps_and_fails() -> None:
    room = Room(Scripted(act=lambda: time.sleep(0.02), steps=1000), limit=0.05)
    assert room.outcome()["data"]["code"] == "render_limit_exceeded"
    assert room.recorded()
    assert room.outcome()["data"]["code"] == "render_limit_exceeded"
    assert room.renderer.renders == 1


@pytest.mark.parametrize(("error", "code"), [(OutOfMemory(), "out_of_memory"), (NoPicture(), "no_picture")])
def test_what_the_prompt_itself_cannot_have_is_a_recorded_failure(error: Exception, code: str) -> None:
    room = Room(Scripted(act=raises(error)))
    assert room.outcome()["data"]["code"] == code
    assert room.recorded()
    assert room.health.state is State.READY


def test_a_lost_gpu_ends_the_process_and_counts() -> None:
    room = Room(Scripted(act=raises(GpuLost())))
    with pytest.raises(GpuLost):
        room.darkroom(REQUEST)
    assert room.health.state is State.DEFUNCT
    assert not room.recorded()
    assert room.last_claim(1) | {"owner": ""} == {
        "owner": "", "prompt_hash": REQUEST.prompt_hash, "ended": "GpuLost", "counts": True
    }  # fmt: skip
    with pytest.raises(GpuLost):
        room.darkroom(Request("/tests", "2", {"prompt": "a"}))
    assert room.renderer.renders == 1


def test_a_bug_counts_as_a_death_and_the_next_delivery_tries_again() -> None:
    room = Room(Scripted(act=raises(ZeroDivisionError())))
    with pytest.raises(ZeroDivisionError):
        room.darkroom(REQUEST)
    assert room.last_claim(1)["counts"] is True
    room.renderer.act = lambda: None
    assert "images" in room.outcome()["data"]


def test_three_dead_attempts_are_the_end() -> None:
    room = Room()
    room.died("+++")
    assert room.outcome()["data"]["code"] == "attempts_exhausted"
    assert room.recorded()
    assert room.renderer.renders == 0


def test_attempts_that_do_not_count_are_not_the_end() -> None:
    room = Room()
    room.died("+---+")
    assert "images" in room.outcome()["data"]


def test_trouble_of_the_store_ends_the_attempt_uncounted() -> None:
    room = Room()
    room.renderer.act = lambda: room.store.fail_next(1, StoreDown("away"))
    with pytest.raises(StoreDown):
        room.darkroom(REQUEST)
    assert room.last_claim(1)["counts"] is False
    room.renderer.act = lambda: None
    assert "images" in room.outcome()["data"]


@pytest.mark.parametrize("calls", [1, 2, 4])
def test_what_the_store_does_not_take_at_once_is_not_drawn_again(calls: int) -> None:
    """The create of the image fails, the look whether it is there after all, and so on."""
    room = Room(patience=60)
    room.renderer.act = lambda: room.store.fail_next(calls, StoreDown("away"))
    assert "images" in room.outcome()["data"]
    assert room.renderer.renders == 1
    assert room.last_claim(1)["ended"] == "committed"


@pytest.mark.parametrize("lost", [1, 2])
def test_an_image_and_a_record_whose_answers_were_lost_count(lost: int) -> None:
    room = Room()
    room.renderer.act = lambda: room.store.lose_answers(lost, StoreDown("reset"))
    assert "images" in room.outcome()["data"]
    assert room.recorded()


def test_a_store_that_denies_access_is_not_waited_for() -> None:
    room = Room(patience=60)
    room.renderer.act = lambda: room.store.fail_next(2, AccessDenied())
    with pytest.raises(AccessDenied):
        room.darkroom(REQUEST)


def test_a_store_that_is_away_is_waited_for_no_longer_than_the_limit() -> None:
    room = Room(patience=60, limit=0.5)
    room.renderer.act = lambda: room.store.fail_next(-1, StoreDown("away"))
    began = time.monotonic()
    with pytest.raises(StoreDown):
        room.darkroom(REQUEST)
    assert 0.1 < time.monotonic() - began < 30
    room.store.fail_next(0, StoreDown())


def test_a_store_that_is_away_is_not_waited_for_beyond_the_grace_of_a_shutdown() -> None:
    room = Room(patience=60)
    room.health.grace = 0
    room.renderer.act = lambda: room.store.fail_next(-1, StoreDown("away"))
    shutdown = threading.Timer(0.5, room.health.drain)
    shutdown.start()
    with pytest.raises(Draining):
        room.darkroom(REQUEST)
    shutdown.join()
    room.store.fail_next(0, StoreDown())


def test_no_claim_is_held_while_waiting_for_a_slot() -> None:
    room = Room()
    with room.slots.take(), pytest.raises(Busy):
        room.darkroom(REQUEST)
    assert list(room.store.list("")) == []


def test_a_deleted_file_tells_what_is_recorded_of_it() -> None:
    room = Room()
    drawn = room.outcome(FROM_FILE)
    assert room.darkroom.settling.miss(FILE) == drawn


def test_a_deleted_file_that_is_being_rendered_is_in_progress() -> None:
    room = Room()
    with Ledger(room.store).claim(FROM_FILE), pytest.raises(InProgress):
        room.darkroom.settling.miss(FILE)


def test_a_file_that_was_gone_too_soon_can_be_dropped_again() -> None:
    room = Room(sink=RecordingSink())
    assert room.sink is not None
    room.darkroom.settling.miss(FILE)
    assert not room.recorded(FROM_FILE)
    room.darkroom(FROM_FILE)
    first, second = room.sink.told
    assert first["data"]["code"] == "object_gone"
    assert "images" in second["data"]
    assert first["id"] != second["id"], "a receiver must not take the completion for a duplicate"


class UnwritableResults(MemoryStore):
    """A store that takes everything but results."""

    def write(self, key: str, body: bytes, content_type: str = "application/json") -> None:
        if key.startswith(layout.RESULTS):
            raise StoreDown("away")
        super().write(key, body, content_type)


def test_a_result_that_cannot_be_written_is_only_logged() -> None:
    room = Room(store=UnwritableResults())
    assert "images" in room.outcome(FROM_FILE)["data"]


def test_where_results_tell_one_that_cannot_be_written_is_no_success() -> None:
    room = Room(store=UnwritableResults(), results_tell=True)
    with pytest.raises(StoreDown):
        room.darkroom(FROM_FILE)
    assert room.recorded(FROM_FILE)
