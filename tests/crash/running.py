"""The program of `tests.crash` under way, and what came of each kind of history."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from queue import Queue, SimpleQueue
from typing import Any

from function.demo.process import Child, plain_environment
from function.demo.s3server import S3Server
from tests.crash.history import Happened, History
from tests.crash.verdict import faults
from tests.darkroom import REPOSITORY
from tests.drawing import renders
from tests.receiver import Delivery
from tests.store.real import s3_store
from tests.stores import new_bucket


@dataclass(frozen=True)
class Verdict:
    """What happened to the events of one kind, and every promise that was broken."""

    happened: Sequence[Happened]
    faults: Sequence[str]
    renders: int

    def __str__(self) -> str:
        answers = Counter(status for each in self.happened for status, _ in each.answers)
        told = ", ".join(f"{count} times {status}" for status, count in sorted(answers.items()))
        kills, stops = sum(each.kills for each in self.happened), sum(len(each.stops) for each in self.happened)
        steps = len({step for each in self.happened for step in each.reached})
        return (
            f"{len(self.happened)} events, {kills} SIGKILLs and {stops} SIGSTOPs at {steps} steps, {told}, "
            f"{self.renders} renders, {len(self.faults)} broken promises"
        )


class Crashes:
    """Histories of several kinds, delivered to one bucket all at once."""

    def __init__(
        self,
        server: S3Server,
        folder: Path,
        kinds: Mapping[str, Sequence[History]],
        told: Queue[Delivery] | SimpleQueue[Delivery],
        *,
        at_once: int,
        preload: Path | None = None,
    ) -> None:
        self._kinds = kinds
        self._folder = folder
        self._told = told
        self._store = s3_store(server.environment, new_bucket(server, "crash"))
        self._seconds = 1200 + 120 * sum(map(len, kinds.values())) / at_once
        histories = [asdict(history) for each in kinds.values() for history in each]
        (folder / "histories").write_text(json.dumps(histories))
        environment = plain_environment() | server.environment | {"DARKROOM_IMAGE_BUCKET": self._store.bucket}
        if preload:
            environment["LD_PRELOAD"] = str(preload)
        self._child = Child(
            "tests.crash",
            [sys.executable, "-m", "tests.crash", str(at_once), folder],
            folder=REPOSITORY,
            log=folder / "log",
            environment=environment,
        )

    def verdict(self, kind: str) -> Verdict:
        """Waits until all is over."""
        ids = {history.id for history in self._kinds[kind]}
        happened = [each for each in self._happened if each.history.id in ids]
        drawn = [self._renders[each.history.prompt] for each in happened]
        broken = [
            fault
            for each, count in zip(happened, drawn, strict=True)
            for fault in faults(each, self._store, self._events.get(each.history.id, []), count)
        ]
        return Verdict(happened, broken, sum(drawn))

    def stop(self) -> None:
        self._child.stop(grace=0)

    @cached_property
    def _happened(self) -> list[Happened]:
        code = self._child._process.wait(self._seconds)  # noqa: SLF001  # a Child only knows how to be stopped
        assert code == 0, f"tests.crash ended with {code}:\n{(self._folder / 'log').read_text()[-4000:]}"
        return [Happened.read(row) for row in json.loads((self._folder / "results").read_text())]

    @cached_property
    def _renders(self) -> Counter[str]:
        return Counter(renders(self._folder / "renders"))

    @cached_property
    def _events(self) -> dict[str, list[dict[str, Any]]]:
        """What the sink was told, by the id of the request."""
        events: dict[str, list[dict[str, Any]]] = {}
        while not self._told.empty():
            event = json.loads(self._told.get().body)
            events.setdefault(event["causationid"], []).append(event)
        return events


def shifting_clock(folder: Path) -> Path | None:
    """A library that gives a process a clock of its own (clock.c); None where nothing can build or load it."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        return None
    library = folder / "clock.so"
    source = Path(__file__).with_name("clock.c")
    subprocess.run([compiler, "-O1", "-Wall", "-Werror", "-shared", "-fPIC", "-o", library, source], check=True)
    return library
