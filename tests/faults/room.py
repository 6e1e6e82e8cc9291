"""A render process that sees its store through the proxy, deliveries to it, and what must hold of them afterwards."""

from __future__ import annotations

import json
import queue
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import urllib3

from events.request import Request
from function import layout
from function.demo.process import free_ports
from function.ledger import Ledger
from tests.darkroom import DarkroomProcess, eventually, without_urls
from tests.drawing import renders
from tests.faults.proxy import FaultProxy
from tests.receiver import Delivery, receiver
from tests.store.real import s3_store
from tests.stores import new_bucket

LEASE: Final = 4.0
# Seconds after which a sender tries again, and after which the test gives up on an event.
PAUSE, PATIENCE = 0.1, 120.0


@dataclass(frozen=True)
class Delivered:
    """What became of one event: each answer's status with its moment, by `time.monotonic`."""

    id: str
    answers: Sequence[tuple[int, float]]

    @property
    def statuses(self) -> list[int]:
        return [status for status, _ in self.answers]

    @property
    def seconds(self) -> float:
        """From the first answer to the last."""
        return self.answers[-1][1] - self.answers[0][1]


class Room:
    """One process, its bucket and its sink; `program` draws noise, unless it is a mutant."""

    def __init__(
        self,
        proxy: FaultProxy,
        process: DarkroomProcess,
        told: queue.Queue[Delivery],
        *,
        bucket: str,
        log: Path,
        lease: float,
    ) -> None:
        self.proxy = proxy
        self.process = process
        self.store = s3_store(proxy.server.environment, bucket)
        self.ledger = Ledger(self.store, lease=lease)
        self._told = told
        self._log = log

    def post(self, id: str) -> tuple[int, float]:
        """One delivery: the status and the moment of its answer."""
        try:
            status = self.process.event({"prompt": id}, id=id).status
        except urllib3.exceptions.HTTPError as error:
            raise AssertionError(f"the server did not answer: {error}") from error
        return status, time.monotonic()

    def deliver(self, id: str, *before: tuple[int, float]) -> Delivered:
        """Deliver an event until it is taken, or for `PATIENCE` seconds."""
        answers = [*before]
        deadline = time.monotonic() + PATIENCE
        while not answers or (answers[-1][0] != 200 and time.monotonic() < deadline):
            if answers:
                threading.Event().wait(PAUSE)
            answers.append(self.post(id))
        return Delivered(id, answers)

    def deliver_all(self, ids: Sequence[str], at_once: int) -> list[Delivered]:
        with ThreadPoolExecutor(at_once) as pool:
            return list(pool.map(self.deliver, ids))

    def wait_for_render(self, more: int) -> None:
        """Return when so many more renders have begun; the last of them is under way then."""
        enough = len(renders(self._log)) + more
        eventually(lambda: len(renders(self._log)) >= enough, f"{more} more renders", PATIENCE)

    def renders(self, delivered: Sequence[Delivered]) -> int:
        """How often the events were rendered, all together."""
        drawn = Counter(renders(self._log))
        return sum(drawn[one.id] for one in delivered)

    def broken(self, delivered: Sequence[Delivered], *, extra: int = 0, within: float | None = None) -> list[str]:
        """A sentence for each promise that was broken to the events, of which `extra` renders may be repetitions.

        `within` is how many seconds an event may take from its first answer on.
        """
        told: dict[str, list[Any]] = {}
        while not self._told.empty():
            event = json.loads(self._told.get().body)
            told.setdefault(event["causationid"], []).append(without_urls(event))
        faults = [fault for one in delivered for fault in self._faults(one, told.get(one.id, []), within)]
        repeated = self.renders(delivered) - len(delivered)
        return [*faults, *([f"{repeated} renders were repetitions"] if repeated > extra else [])]

    def _faults(self, one: Delivered, told: list[Any], within: float | None) -> Iterator[str]:
        key = Request("/tests", one.id, {"prompt": one.id}).key
        record = self.store.read(layout.record(key))
        if one.statuses[-1] != 200 or record is None:
            yield f"{one.id} was lost: {Counter(one.statuses)}"
            return
        if odd := set(one.statuses) - {200, 409, 429, 503}:
            yield f"{one.id} was answered {odd}"
        outcome = json.loads(record.body)["outcome"]
        if outcome["type"] != "dev.darkroom.image.completed":
            yield f"{one.id} failed: {outcome['data']}"
            return
        if not told or any(event != outcome for event in told):
            yield f"{one.id} was told {len(told)} times, not always as it was recorded"
        (image,) = outcome["data"]["images"]
        stored = self.store.read(image["key"], limit=0)
        if stored is None or stored.metadata["sha256"] != image["sha256"]:
            yield f"the record of {one.id} names another image than is stored"
        if within is not None and one.seconds > within:
            yield f"{one.id} waited {one.seconds:.1f} s: {one.statuses}"
        eventually(lambda: not any(map(self.ledger.alive, self.ledger.attempts(key))), f"the end of {one.id}", 30)
        if dead := [n for n in self.ledger.attempts(key) if self.ledger.state(n).counts]:
            yield f"{one.id} used up {len(dead)} attempts: {dead}"


@contextmanager
def room(
    proxy: FaultProxy,
    folder: Path,
    *program: str,
    lease: float = LEASE,
    seconds: float = 0,
) -> Iterator[Room]:
    """A room whose process is ready and draws for so many `seconds`; `program` is a mutant's module and name."""
    bucket = new_bucket(proxy.server, "faults")
    (port,) = free_ports(1)
    log = folder / f"renders-{port}"
    environment = {
        **proxy.environment,
        "DARKROOM_IMAGE_BUCKET": bucket,
        "DARKROOM_LEASE": f"{lease}",
        "DRAWING_LOG": str(log),
        "DRAWING_SECONDS": f"{seconds}",
        "K_SINK": f"http://127.0.0.1:{port}",
    }
    module = program or ("tests.drawing",)
    with (
        receiver(port) as told,
        DarkroomProcess("render", proxy.server, folder, environment, program=("-m", *module)) as own,
    ):
        yield Room(proxy, own.wait_ready(), told, bucket=bucket, log=log, lease=lease)
