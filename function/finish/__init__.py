"""Finishing: from pixels to the files that are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from events.prompt import Output
from function.render import Model, Picture


@dataclass(frozen=True, slots=True)
class Origin:
    """How pictures came to be: the request's key, the prompt as rendered, the model, and what else had a part in it."""

    key: str
    prompt: Mapping[str, Any]
    model: Model
    software: Mapping[str, str] = field(default_factory=dict)
    adapters: Sequence[Mapping[str, str]] = ()


@dataclass(frozen=True, slots=True)
class File:
    """A finished file: its bytes, its sides in pixels, and what it is."""

    body: bytes
    width: int
    height: int
    content_type: str = "image/png"
    suffix: str = "png"


@dataclass(frozen=True, slots=True)
class Finished:
    """A picture as its files, the first of which is the image, with its seed and the sha256 of its pixels."""

    files: tuple[File, ...]
    seed: int
    pixels_sha256: str


class Finish(Protocol):
    """Makes of a picture the files that are kept."""

    def check(self) -> None:
        """Raises `Unmarked` when no file could be finished now, so that nothing is drawn in vain."""

    def __call__(self, picture: Picture, origin: Origin, outputs: Sequence[Output]) -> Finished: ...
