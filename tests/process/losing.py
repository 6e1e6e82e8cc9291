"""`darkroom render`, or in LOSING_ALONE `darkroom serve`, but for the renderer, which loses its GPU.

LOSING is the number of the recorded message that a prompt "heavy" meets, or with LOSING_AT=load the load. Without
LOSING everything is drawn.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Final

from events.prompt import Prompt
from function.render import NO_SOURCES, Rendering, Sources
from function.render.faults import losses
from tests.drawing import Drawing
from tests.drawing.__main__ import run
from tests.render.recorded import FATAL

HEAVY: Final = "heavy"
# Seconds of drawing, in which others come.
MEANWHILE: Final = 2.0


class Losing(Drawing):
    """Draws until it meets a heavy prompt."""

    def __init__(self, text: str | None, *, at: str) -> None:
        super().__init__()
        self._text = text
        self._at = at

    def load(self) -> None:
        if self._at == "load":
            self._lose()

    def render(
        self, prompt: Prompt, seed: int, between_steps: Callable[[], None], sources: Sources = NO_SOURCES
    ) -> Rendering:
        if prompt.prompt == HEAVY:
            time.sleep(MEANWHILE)
            self._lose()
        return super().render(prompt, seed, between_steps, sources)

    def _lose(self) -> None:
        if self._text:
            with losses():
                raise RuntimeError(self._text)


def main() -> None:
    number = os.environ.get("LOSING")
    renderer = Losing(FATAL[int(number)].text if number else None, at=os.environ.get("LOSING_AT", "render"))
    run(renderer, standalone="LOSING_ALONE" in os.environ)


if __name__ == "__main__":
    main()
