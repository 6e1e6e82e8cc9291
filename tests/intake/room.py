"""Intake in memory: a prompt bucket, an image bucket, a sink and both doors."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from events import IMAGE_FAILED, IMAGE_REQUESTED, PROMPTS_DROPPED
from events.outcome import Image, Outcome, completed
from events.prompt import validate
from events.promptfile import Limits
from events.request import ObjectRef, Request, from_object
from function import layout
from function.bucket.files import PromptFiles
from function.doors.intake import Intake
from function.expander import Expander
from function.health import Health
from function.ledger import Ledger
from function.ledger.settling import Settling
from function.metrics import Metrics
from function.slots import Slots
from function.telling import PublicUrls, Telling, progress
from function.telling.progress import Progress
from tests.fakes import Clock, MemoryStore, RecordingSink

STRUCTURED = "application/cloudevents+json"


def drawn(request: Request) -> Outcome:
    """What render says of a request that it has drawn."""
    prompt = validate({"prompt": "any", "seed": 7, "scheduler": "EulerDiscreteScheduler", "width": 64, "height": 64})
    image = Image(
        bucket="images",
        key=layout.image(request.key, 0),
        sha256="f" * 64,
        pixels_sha256="e" * 64,
        size=10,
        seed=7,
        width=64,
        height=64,
        content_type="image/png",
    )
    model = {"name": "shapes", "revision": None}
    return completed(
        request, "/darkroom", [image], prompt.model_dump(), model, {"render": 1.0}, software={}, device="cpu"
    )


class WatchedSink(RecordingSink):
    """A sink that calls `then[n]` before it takes event n (counted from 1), which may raise."""

    def __init__(self) -> None:
        super().__init__()
        self.then: dict[int, Callable[[], None]] = {}
        self._count = itertools.count(1)

    def tell(self, event: Mapping[str, Any]) -> None:
        self.then.get(next(self._count), lambda: None)()
        super().tell(event)


@dataclass
class Room:
    """A `darkroom intake` without its server, whose clock is now but when objects are dated back."""

    versioned: bool = False
    at_once: int = 4
    clock: Clock = field(default_factory=Clock)
    sink: RecordingSink = field(default_factory=RecordingSink)
    health: Health = field(default_factory=Health)
    slots: Slots = field(default_factory=Slots)

    def __post_init__(self) -> None:
        self.prompts = MemoryStore("prompts", self.clock, versioned=self.versioned)
        self.images = MemoryStore("images", self.clock)
        self.metrics = Metrics()
        limits = Limits(size=10_000, prompts=100, expanded=100)
        self.files = PromptFiles(
            {"prompts": self.prompts}, image_bucket="images", prefix="in/", suffix="", limits=limits
        )
        self.ledger = Ledger(self.images, told_by="sink")
        self.telling = Telling(self.images, PublicUrls("https://pictures.example"), self.sink)
        settling = Settling(
            ledger=self.ledger, telling=self.telling, health=self.health, metrics=self.metrics, source="/darkroom"
        )
        expander = Expander(
            files=self.files,
            settling=settling,
            sink=self.sink,
            store=self.images,
            metrics=self.metrics,
            slots=self.slots,
            at_once=self.at_once,
        )
        self.intake = Intake(
            files=self.files, expander=expander, sink=self.sink, health=self.health, metrics=self.metrics
        )
        self.health.loaded()

    def ago(self, seconds: float) -> None:
        """Date what is written from now on so many seconds back."""
        self.clock.time = datetime.now(UTC)
        self.clock.move(-seconds)

    def drop(self, key: str, prompts: Iterable[object] | bytes) -> ObjectRef:
        """Put a prompt file, one JSON value a line or as it is; the object as intake will read it."""
        body = prompts if isinstance(prompts, bytes) else b"\n".join(json.dumps(each).encode() for each in prompts)
        self.prompts.write(key, body)
        stored = self.prompts.read(key)
        assert stored is not None
        return ObjectRef("prompts", key, stored.version, stored.etag, len(body))

    def announce(self, ref: ObjectRef, **context: str) -> int:
        """Tell the expander by `prompts.dropped` that the object is there."""
        return self.post(self.event(PROMPTS_DROPPED, {"object": ref.as_data()}, **context))

    def event(self, type: str, data: object, *, id: str = "1", source: str = "/tests", **more: object) -> object:
        """A CloudEvent in its JSON form."""
        return {"specversion": "1.0", "id": id, "source": source, "type": type, "data": data, **more}

    def post(self, event: object, content_type: str = STRUCTURED) -> int:
        """The status that the expander's door answers."""
        return self.intake.event({"content-type": content_type}, json.dumps(event).encode()).status_code

    def draw(self, ref: ObjectRef, prompts: Mapping[int, object]) -> None:
        """Record outcomes of prompts of a file, by their index."""
        for index, prompt in prompts.items():
            request = from_object(ref, index, prompt)
            self.ledger.commit(request, drawn(request))

    def told(self, type: str) -> list[dict[str, Any]]:
        """The events of this type that the sink has, requests in their order in the file."""
        events = (event for event in self.sink.told if event["type"] == type)
        return sorted(events, key=lambda event: event.get("batchindex", 0))

    @property
    def requested(self) -> list[dict[str, Any]]:
        return self.told(IMAGE_REQUESTED)

    @property
    def failed(self) -> list[dict[str, Any]]:
        return self.told(IMAGE_FAILED)

    def progress(self, ref: ObjectRef) -> Progress | None:
        return progress.read(self.images, ref)

    def result(self, ref: ObjectRef, index: int) -> dict[str, Any] | None:
        """What lies in `results/` for a prompt of the file."""
        stored = self.images.read(layout.result(ref, index))
        return json.loads(stored.body) if stored else None

    def records(self) -> int:
        return len(list(self.images.list(layout.RECORDS)))
