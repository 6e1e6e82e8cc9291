"""Where the harness plays: real pods that draw noise, on buckets of their own, and what came of it all."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from events import IMAGE_COMPLETED, IMAGE_FAILED, IMAGE_REQUESTED
from events.request import key_of
from function import layout
from function.demo.s3server import S3Server
from tests.darkroom import DarkroomProcess, eventually, without_urls
from tests.drawing import renders
from tests.servers.broker import Broker
from tests.servers.event import Event
from tests.stores import new_bucket

SOURCE: Final = "/tests/dispatch"
# Seconds; the least that MinIO's clock of whole seconds allows.
LEASE: Final = "4"


@dataclass(frozen=True)
class Pods:
    """Processes of `darkroom render` on one bucket."""

    processes: list[DarkroomProcess]
    server: S3Server
    images: str
    log: Path

    @property
    def urls(self) -> list[str]:
        return [process.url + "/" for process in self.processes]

    def check_renders(self, names: list[str]) -> None:
        """Each of the prompts was drawn once, and no other."""
        drawn = Counter(renders(self.log))
        others = {name: count for name, count in (drawn | Counter(names)).items() if drawn[name] != 1}
        assert drawn == Counter(names), f"{len(others)} were not drawn once, such as {list(others.items())[:3]}"

    def keys(self, prefix: str) -> set[str]:
        """The keys of the image bucket that begin so."""
        pages = self.server.client.get_paginator("list_objects_v2").paginate(Bucket=self.images, Prefix=prefix)
        return {row["Key"] for page in pages for row in page.get("Contents", ())}

    def ended(self, name: str) -> bool:
        """Whether the request of this name has its record, and its render is over."""
        claim = layout.claim(key_of(SOURCE, name), 1)
        if claim not in self.keys(layout.CLAIMS):
            return False
        stored = self.server.client.get_object(Bucket=self.images, Key=claim)["Body"].read()
        return bool(json.loads(stored).get("ended") == "committed")


@dataclass(frozen=True)
class Stage:
    """A store, and the program that stands there for `darkroom render`."""

    server: S3Server
    folder: Path
    program: tuple[str, ...] = ("-m", "tests.drawing")

    @contextmanager
    def pods(self, count: int, *, seconds: float = 0, settings: dict[str, str] | None = None) -> Iterator[Pods]:
        """Pods that are ready, each of whose renders takes `seconds`."""
        images = new_bucket(self.server, "images")
        log = self.folder / f"{images}.log"
        environment = {
            "DARKROOM_IMAGE_BUCKET": images,
            "DARKROOM_LEASE": LEASE,
            "DRAWING_LOG": str(log),
            "DRAWING_SECONDS": str(seconds),
        }
        with ExitStack() as stack:
            processes = [
                stack.enter_context(
                    DarkroomProcess(
                        "render", self.server, self.folder, environment | (settings or {}), program=self.program
                    )
                )
                for _ in range(count)
            ]
            for process in processes:
                process.wait_ready()
            yield Pods(processes, self.server, images, log)


def requested(name: str) -> Event:
    """A request whose id and prompt are `name`."""
    attributes = {"specversion": "1.0", "id": name, "source": SOURCE, "type": IMAGE_REQUESTED}
    return Event(attributes | {"datacontenttype": "application/json"}, json.dumps({"prompt": name}).encode())


@dataclass
class Told:
    """Outcomes by the request that caused them, as they were told, URLs aside."""

    by_cause: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def by_replies(cls, broker: Broker) -> Told:
        """What a broker was given to publish."""
        told = cls()
        for event in list(broker.accepted):
            if event.attributes["type"] in (IMAGE_COMPLETED, IMAGE_FAILED):
                told.add(event.json)
        return told

    def add(self, outcome: dict[str, Any]) -> None:
        self.by_cause[outcome["causationid"]].append(without_urls(outcome))

    @property
    def count(self) -> int:
        return sum(map(len, self.by_cause.values()))

    def check(self, names: list[str]) -> None:
        """Every request was told a completion, and whenever it was told, the same."""
        assert sorted(self.by_cause) == sorted(names), "some were never told, or nobody asked for them"
        for outcomes in self.by_cause.values():
            assert all(outcome == outcomes[0] for outcome in outcomes), "two outcomes of one request"
            assert outcomes[0]["type"] == IMAGE_COMPLETED, outcomes[0]["data"]


def settle(broker: Broker, events: list[Event], seconds: float) -> None:
    """Publish events and wait until each was taken, or is dead."""
    for event in events:
        assert broker.publish(event) == 202
    eventually(lambda: broker.idle, f"all of {len(events)} deliveries are settled", seconds)
