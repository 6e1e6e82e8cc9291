"""Rendering: from a prompt to pixels. The only room that may import torch and diffusers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from events.outcome import Code, Unusual
from events.prompt import Input, Prompt

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image


@dataclass(frozen=True, slots=True)
class Model:
    """Which model draws: a directory's name or a hub id, and the pinned revision (None for a plain directory)."""

    name: str
    revision: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """What was drawn: bytes of sRGB, shaped (height, width, 3), and the seed that draws it again."""

    pixels: NDArray[np.uint8]
    seed: int


@dataclass(frozen=True, slots=True)
class Adapter:
    """What the model was changed by: lora, controlnet or ip_adapter; or image_encoder, that of an IP-Adapter."""

    name: str
    kind: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Missing:
    """A picture that could not be drawn while others of the same prompt could: the one of `seed`, and why."""

    seed: int
    code: Code
    message: str


@dataclass(frozen=True, slots=True)
class Remark:
    """What was unusual about the picture of `seed`."""

    seed: int
    what: Unusual


@dataclass(frozen=True, slots=True)
class Rendering:
    """What a render gave: pictures in order, the prompt with every default filled in, timings in seconds.

    `software` is what drew, by the name and version of each part; `device` is what it drew on. There is a picture at
    least, and with those that are `missing`, as many as were asked for.
    """

    pictures: tuple[Picture, ...]
    prompt: Mapping[str, Any]
    timings: Mapping[str, float]
    software: Mapping[str, str] = field(default_factory=dict)
    device: str = "cpu"
    adapters: tuple[Adapter, ...] = ()
    missing: tuple[Missing, ...] = ()
    remarks: tuple[Remark, ...] = ()


# The pictures that a prompt begins with, by what it calls them.
Sources = Mapping[Input, "Image"]
NO_SOURCES: Final[Sources] = {}


class Renderer(Protocol):
    """Draws prompts, one call at a time."""

    @property
    def model(self) -> Model: ...

    def load(self) -> None:
        """Load and warm the model; called once, in a background thread, before any `render`."""

    def check(self, prompt: Prompt) -> None:
        """Raise `Lacking`, which says what there is, if the prompt needs what is not installed; before `load`, too."""

    def render(
        self, prompt: Prompt, seed: int, between_steps: Callable[[], None], sources: Sources = NO_SOURCES
    ) -> Rendering:
        """Draw `prompt.num_images` pictures, picture k with seed `(seed + k) mod 2**64`, each as it would be alone.

        Those that cannot be drawn while others can are said to be missing; `Failed` if there is none that can.

        `between_steps` is called after every denoising step and may raise to stop the render. `sources` has the
        picture behind every object that the prompt names, in RGB.
        """
