"""Rendering: from a prompt to finished picture files. The only room that may import torch and diffusers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from events.prompt import Prompt


@dataclass(frozen=True, slots=True)
class Model:
    """Which model draws: a directory's name or a hub id, and the pinned revision (None for a plain directory)."""

    name: str
    revision: str | None = None


@dataclass(frozen=True, slots=True)
class Picture:
    """A finished file: its bytes, sizes in pixels, and the seed that draws it again."""

    body: bytes
    width: int
    height: int
    seed: int
    content_type: str = "image/png"


@dataclass(frozen=True, slots=True)
class Rendering:
    """What a render gave: pictures in order, the prompt with every default filled in, timings in seconds."""

    pictures: tuple[Picture, ...]
    prompt: Mapping[str, Any]
    timings: Mapping[str, float]


class Renderer(Protocol):
    """Draws prompts, one call at a time."""

    @property
    def model(self) -> Model: ...

    def load(self) -> None:
        """Load and warm the model; called once, in a background thread, before any `render`."""

    def render(self, prompt: Prompt, seed: int, between_steps: Callable[[], None]) -> Rendering:
        """Draw `prompt.num_images` pictures, picture k with seed `(seed + k) mod 2**64`, each as it would be alone.

        `between_steps` is called after every denoising step and may raise to stop the render.
        """
