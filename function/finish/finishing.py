"""The real finish: encoded, with what a file says of itself, and marked last of all."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from events.prompt import Output
from function.finish import File, Finished, Origin
from function.finish.metadata import Said, said
from function.finish.renditions import rendition
from function.finish.xmp import SourceType
from function.render import Picture


class Mark(Protocol):
    """Says in a file that a model made it."""

    def check(self) -> None:
        """Raises `Unmarked` when no file could be marked now."""

    def xmp(self, source: SourceType) -> str | None:
        """The XMP packet that is put into the file as it is encoded, if there is to be one."""

    def __call__(self, body: bytes, media_type: str, source: SourceType) -> bytes:
        """The file, signed if it is to be; whoever writes to it afterwards breaks the signature."""


class Finishing:
    """Encodes each of a picture's files, with its metadata unless that is unwanted, and marks it."""

    def __init__(self, mark: Mark | None = None, *, metadata: bool = True) -> None:
        self._mark = mark
        self._metadata = metadata

    def check(self) -> None:
        """Raises `Unmarked` when no file could be marked now."""
        if self._mark:
            self._mark.check()

    def __call__(self, picture: Picture, origin: Origin, outputs: Sequence[Output]) -> Finished:
        source = SourceType.COMPOSITE if origin.prompt.get("image") else SourceType.GENERATED
        xmp = self._mark.xmp(source) if self._mark else None
        texts = said(origin, picture.seed, xmp) if self._metadata else Said(xmp=xmp)
        files = tuple(self._marked(rendition(picture.pixels, output, texts), source) for output in outputs)
        return Finished(files, picture.seed, hashlib.sha256(picture.pixels.tobytes()).hexdigest())

    def _marked(self, file: File, source: SourceType) -> File:
        return replace(file, body=self._mark(file.body, file.content_type, source)) if self._mark else file
