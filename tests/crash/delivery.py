"""One delivery in a process of its own: the real application, a real store, and an end at the step that was drawn."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from events.envelope import STRUCTURED
from events.prompt import Prompt
from function.bootstrap import build
from function.config import Settings
from function.render import NO_SOURCES, Model, Renderer, Rendering, Sources
from tests.crash.history import SOURCE, History
from tests.crash.steps import STORES, Step, Watched
from tests.drawing import Drawing


class Sabotage:
    """Kills or stops the process at the next of its event's steps, unless another process was faster.

    What has happened is marked in `folder`, which all deliveries share.
    """

    def __init__(self, history: History, folder: Path, say: Callable[..., None]) -> None:
        planned = [(step, signal.SIGKILL) for step in history.kills]
        if history.stop:
            planned.insert(0, (history.stop, signal.SIGSTOP))
        self._planned = [(folder / f"{history.id} {n}", *each) for n, each in enumerate(planned)]
        self._say = say

    def reach(self, step: Step) -> None:
        """Does not return where this is the step."""
        for mark, planned, number in self._planned:
            if mark.exists():
                continue
            if planned == step:
                with suppress(FileExistsError):
                    mark.touch(exist_ok=False)
                    self._say(reached=step, signal=number)
                    os.kill(os.getpid(), number)
            return


class Interrupted:
    """A renderer that says when it is in the middle of a render, and loads its model no sooner than that."""

    def __init__(self, renderer: Renderer, reach: Callable[[Step], None]) -> None:
        self._renderer = renderer
        self._reach = reach

    @property
    def model(self) -> Model:
        return self._renderer.model

    def load(self) -> None:
        """Most deliveries render nothing."""

    def check(self, prompt: Prompt) -> None:
        self._renderer.check(prompt)

    def render(
        self, prompt: Prompt, seed: int, between_steps: Callable[[], None], sources: Sources = NO_SOURCES
    ) -> Rendering:
        self._renderer.load()

        def between() -> None:
            self._reach(Step.RENDER)
            between_steps()

        return self._renderer.render(prompt, seed, between, sources)


def import_shapes() -> None:
    """Import what the embedded model needs, which takes longer than all else."""
    import diffusers
    import transformers

    import function.render.sdxl  # noqa: F401

    # They import the rest of themselves when it is asked for.
    assert diffusers.StableDiffusionXLPipeline
    assert transformers.CLIPTextModel
    assert transformers.CLIPTokenizer
    assert threading.active_count() == 1, "no process with threads can be forked"


class Shapes:
    """The embedded model, whose renders are written down as Drawing's are."""

    def __init__(self, settings: Settings, log: Path) -> None:
        from function.bootstrap import renderer_for

        self._renderer = renderer_for(settings)
        self._log = log
        self.load = self._renderer.load
        self.check = self._renderer.check

    @property
    def model(self) -> Model:
        return self._renderer.model

    def render(
        self, prompt: Prompt, seed: int, between_steps: Callable[[], None], sources: Sources = NO_SOURCES
    ) -> Rendering:
        with self._log.open("a") as log:
            log.write(prompt.prompt + "\n")
        return self._renderer.render(prompt, seed, between_steps, sources)


def deliver(settings: Settings, folder: Path, history: History, lane: int, say: Callable[..., None]) -> None:
    """POST the event to an application of this process, and say what it answered, unless it does not live to.

    `folder` holds the log of renders, and what `Sabotage` marks.
    """
    # Read by clock.c at each call.
    os.environ["CLOCK_SHIFT"] = str(history.shifts[lane % len(history.shifts)])
    say(clock=time.time())
    reach = Sabotage(history, folder, say).reach
    log = folder / "renders"
    drawing = Drawing(seconds=history.seconds, log=log)
    renderer = Shapes(settings, log) if history.renderer == "shapes" else drawing
    function = build(
        settings.model_copy(update={"sink": history.sink, "lease": history.lease}),
        Interrupted(renderer, reach),
        around=lambda store: Watched(STORES[history.store](store), reach),
    )
    function.health.loaded()
    headers = {"ce-specversion": "1.0", "ce-id": history.id, "ce-source": SOURCE} | {
        "ce-type": "dev.darkroom.image.requested",
        "content-type": "application/json",
    }
    body = json.dumps({"prompt": history.prompt}).encode()
    response = function.app.test_client().post("/", data=body, headers=headers)
    reach(Step.REPLY)
    event: dict[str, Any] | None = None
    if response.content_type.startswith(STRUCTURED):
        event = json.loads(response.data)
    say(status=response.status_code, event=event)
