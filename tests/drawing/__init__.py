"""A `Renderer` that draws real pictures without torch, so that a process that is killed is back in a second."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from events.prompt import Prompt
from function.errors import Lacking
from function.render import NO_SOURCES, Model, Picture, Rendering, Sources

# A prompt that holds this kills the process that draws it.
DEADLY: Final = "deadly"
SIDE: Final = 32


class Drawing:
    """Draws noise, another at each render, so that two renders of one request can be told apart.

    A render takes `seconds` in `steps`, and is written down in `log` as it begins, one line with its prompt.
    """

    def __init__(self, *, seconds: float = 0, steps: int = 4, log: Path | None = None) -> None:
        self.model = Model("drawing")
        self._pause = seconds / steps
        self._steps = steps
        self._log = log

    def load(self) -> None:
        """Nothing is needed."""

    def check(self, prompt: Prompt) -> None:
        """Noise needs no refiner, and there is none."""
        if prompt.refiner != "none":
            raise Lacking("refiner: there is none where noise is drawn")

    def render(
        self, prompt: Prompt, seed: int, between_steps: Callable[[], None], sources: Sources = NO_SOURCES
    ) -> Rendering:
        del sources
        began = time.monotonic()
        if self._log:
            with self._log.open("a") as log:
                log.write(prompt.prompt + "\n")
        for _ in range(self._steps):
            threading.Event().wait(self._pause)
            if DEADLY in prompt.prompt:
                os.kill(os.getpid(), signal.SIGKILL)
            between_steps()
        width, height = prompt.width or SIDE, prompt.height or SIDE
        pictures = tuple(self._picture(width, height, (seed + k) % 2**64) for k in range(prompt.num_images))
        rendered = {"width": width, "height": height, "seed": seed, "scheduler": "EulerDiscreteScheduler"}
        return Rendering(pictures, prompt.model_dump() | rendered, {"denoise": time.monotonic() - began})

    @staticmethod
    def _picture(width: int, height: int, seed: int) -> Picture:
        return Picture(np.frombuffer(os.urandom(3 * width * height), np.uint8).reshape(height, width, 3), seed)


def renders(log: Path) -> list[str]:
    """The prompts of all renders that were begun, in order, whatever became of the processes."""
    return log.read_text().splitlines() if log.exists() else []
