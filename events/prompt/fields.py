"""All fields of a prompt, group by group."""

from __future__ import annotations

from typing import Final, Self

from pydantic import model_validator

from events.prompt.adapters import Adapting
from events.prompt.canvas import Canvas
from events.prompt.delivery import Delivery
from events.prompt.refining import NEGATIVE_AESTHETIC_SCORE, Refining
from events.prompt.sampling import Sampling
from events.prompt.sources import Sources
from events.prompt.wording import Wording

# What counts only where the model is guided, beside the texts, and what is taken where it is left out.
_GUIDED: Final = {
    "negative_original_size": None,
    "negative_target_size": None,
    "negative_crops_coords_top_left": None,
    "guidance_rescale": 0.0,
    "negative_aesthetic_score": NEGATIVE_AESTHETIC_SCORE,
}


class Prompt(Delivery, Adapting, Refining, Sources, Sampling, Canvas, Wording):
    """A picture to draw; adding a field to one of the groups is all it takes to accept it."""

    @property
    def said_to_guide(self) -> list[str]:
        """The fields beside its texts by which it says how to guide the model away from what is not wanted."""
        return [name for name, usual in _GUIDED.items() if getattr(self, name) not in (None, usual)]

    @model_validator(mode="after")
    def _is_guided(self) -> Self:
        # A negative text is no fault: many programs send one with every prompt. The render remarks on it.
        if self.guidance_scale <= 1 and (said := self.said_to_guide):
            raise ValueError(f"{said[0]}: has no effect with a guidance_scale of at most 1; leave it out")
        return self
