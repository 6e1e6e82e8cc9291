"""A program: delivers the events of many histories, each delivery in a forked process, until all have an outcome.

`python -m tests.crash AT_ONCE FOLDER`: reads FOLDER/histories and writes FOLDER/results, both JSON; settings are in the
environment. An event goes down its lanes at once, and down each lane again and again until it is answered 200.
Whichever delivery comes first by the next step in the event's plan dies there. Where its first delivery is to be
stopped, the other lanes begin when it is; it goes on after its time, and not before each of them has had an answer (the
last, where the time is longer than a lease).
"""

from __future__ import annotations

import gc
import heapq
import json
import os
import selectors
import signal
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

import boto3

from function.config import Settings
from function.logs import configure
from function.store import s3_client
from tests.crash.delivery import deliver, import_shapes
from tests.crash.history import Happened, History

# Processes that may do something at once; more would starve one another's beats.
PROCESSES: Final = 16
# Seconds after which an event is given up for lost: many starts of a model on a machine that others keep busy.
GIVEN_UP: Final = 900.0
# Seconds after which a broker sends again.
PAUSE: Final = (0.7, 1.7)


@dataclass
class Story:
    """A history that is under way."""

    happened: Happened
    open: int
    began: float = 0.0
    stopped: tuple[int, float] | None = None
    answered: set[int] = field(default_factory=set)
    final: set[int] = field(default_factory=set)

    @property
    def history(self) -> History:
        return self.happened.history

    def may_go_on(self) -> bool:
        """Whether the delivery that is stopped has been so for long enough."""
        if self.stopped is None or time.monotonic() - self.stopped[1] < self.history.stopped:
            return False
        others = set(range(1, self.history.lanes))
        return others <= (self.final if self.history.deadly_stop else self.answered)


@dataclass
class Running:
    """A process that delivers an event down a lane."""

    pid: int
    story: Story
    lane: int
    heard: bytes = b""


class Deliverer:
    """Delivers the events of `histories`, so many at once."""

    def __init__(self, settings: Settings, folder: Path, histories: list[History], at_once: int) -> None:
        self._settings = settings
        self._at_once = at_once
        self._folder = folder
        self._random = Random(0)
        self._pipes = selectors.DefaultSelector()
        self._due: list[tuple[float, int, Story, int]] = []
        self._sent = 0
        self._running = 0
        self._stopped: list[Story] = []
        self._under_way = 0
        self.stories = [Story(Happened(history), history.lanes) for history in histories]

    def run(self) -> None:
        """Return when every event has its last answer."""
        waiting = self._random.sample(self.stories, len(self.stories))
        while waiting or self._under_way:
            while waiting and self._under_way < self._at_once:
                self._begin(waiting.pop())
            self._start_due()
            for story in [story for story in self._stopped if story.may_go_on()]:
                self._go_on(story)
            pause = self._due[0][0] - time.monotonic() if self._due and self._running < PROCESSES else 0.5
            for chosen, _ in self._pipes.select(max(0.001, min(pause, 0.5))):
                self._hear(chosen.fd, chosen.data)

    def _begin(self, story: Story) -> None:
        self._under_way += 1
        story.began = time.monotonic()
        for lane in range(1 if story.history.stop else story.history.lanes):
            self._send(story, lane, self._random.uniform(0, 0.3))

    def _send(self, story: Story, lane: int, after: float) -> None:
        self._sent += 1
        heapq.heappush(self._due, (time.monotonic() + after, self._sent, story, lane))

    def _start_due(self) -> None:
        while self._due and self._due[0][0] <= time.monotonic() and self._running < PROCESSES:
            _, _, story, lane = heapq.heappop(self._due)
            reading, writing = os.pipe()
            pid = os.fork()
            if pid == 0:
                self._deliver(story.history, lane, writing)
            os.close(writing)
            self._running += 1
            self._pipes.register(reading, selectors.EVENT_READ, Running(pid, story, lane))

    def _deliver(self, history: History, lane: int, pipe: int) -> None:
        def say(**what: Any) -> None:
            os.write(pipe, json.dumps(what).encode() + b"\n")

        code = 1
        try:
            deliver(self._settings, self._folder, history, lane, say)
            code = 0
        except BaseException:  # noqa: BLE001  # nothing may run on in a copy of this program
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stderr.flush()
            os._exit(code)

    def _go_on(self, story: Story) -> None:
        assert story.stopped
        pid, since = story.stopped
        story.happened.stops.append(time.monotonic() - since)
        story.stopped = None
        self._stopped.remove(story)
        self._running += 1
        os.kill(pid, signal.SIGCONT)

    def _hear(self, pipe: int, running: Running) -> None:
        data = os.read(pipe, 65536)
        running.heard += data
        *lines, running.heard = running.heard.split(b"\n")
        for line in lines:
            self._take(running, json.loads(line))
        if not data:
            self._pipes.unregister(pipe)
            os.close(pipe)
            self._running -= 1
            self._over(running, os.waitstatus_to_exitcode(os.waitpid(running.pid, 0)[1]))

    def _take(self, running: Running, said: dict[str, Any]) -> None:
        story = running.story
        if "clock" in said:
            # In whole minutes: what it was told took a while to arrive.
            story.happened.clocks_off.append(round((said["clock"] - time.time()) / 60))
            return
        if "status" in said:
            story.happened.answers.append((said["status"], said["event"]))
            story.answered.add(running.lane)
            if said["status"] == 200:
                story.final.add(running.lane)
            return
        story.happened.reached.append(said["reached"])
        if said["signal"] == signal.SIGKILL:
            return
        story.stopped = (running.pid, time.monotonic())
        self._stopped.append(story)
        self._running -= 1
        for lane in range(1, story.history.lanes):
            self._send(story, lane, 0)

    def _over(self, running: Running, code: int) -> None:
        story = running.story
        story.happened.kills += code == -signal.SIGKILL
        assert code in (0, -signal.SIGKILL), f"a delivery of {story.history} ended with {code}"
        story.happened.deliveries += 1
        if running.lane in story.final or time.monotonic() - story.began > GIVEN_UP:
            story.open -= 1
            self._under_way -= not story.open
        else:
            self._send(story, running.lane, self._random.uniform(*PAUSE))


def main() -> None:
    at_once, folder = int(sys.argv[1]), Path(sys.argv[2])
    configure("json")
    settings = Settings.from_environment(os.environ)
    histories = [History.read(row) for row in json.loads((folder / "histories").read_text())]
    deliverer = Deliverer(settings, folder, histories, at_once)
    # What every process needs first, read once: botocore's description of S3. No thread and no connection come of it.
    boto3.setup_default_session()
    s3_client()
    if any(story.history.renderer == "shapes" for story in deliverer.stories):
        import_shapes()
    gc.freeze()
    deliverer.run()
    (folder / "results").write_text(json.dumps([asdict(story.happened) for story in deliverer.stories]))


if __name__ == "__main__":
    main()
