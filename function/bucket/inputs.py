"""Input objects: the pictures that a prompt names, read from the buckets that may be read."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from events.prompt import Fault, Input, Prompt, sentence
from events.prompt.sources import inputs_in, with_inputs
from function.errors import InputUnusable, Lacking
from function.render import Sources
from function.store import ObjectStore

if TYPE_CHECKING:
    from PIL.Image import Image


class Inputs:
    """Reads at most `limit` bytes of each object that a prompt names, from the `stores` of the buckets by name."""

    def __init__(self, stores: Mapping[str, ObjectStore], limit: int) -> None:
        self._stores = stores
        self._limit = limit

    def check(self, prompt: Prompt) -> None:
        """Raise `Lacking` if the prompt names a bucket that is not for inputs, whether it exists or not."""
        for where, named in inputs_in(prompt):
            if named.bucket not in self._stores:
                there = f"they may lie in {', '.join(self._stores)}" if self._stores else "it takes none"
                raise Lacking(f"{where} is in no bucket that this installation takes pictures from; {there}")

    def read(self, prompt: Prompt) -> tuple[Prompt, Sources]:
        """The prompt with the sha256 of each object that it names, and their pictures.

        `InputUnusable` tells of all that cannot be used at once; `StoreDown` says nothing of the objects.
        """
        pinned: dict[Input, Input] = {}
        pictures: dict[Input, Image] = {}
        faults = []
        for where, named in inputs_in(prompt):
            if named in pinned:
                continue
            # Only what is drawn with is installed with what decodes.
            from function.render.picture_files import Unusable

            try:
                digest, picture = self._read(named)
            except Unusable as error:
                faults.append(Fault(where, str(error)))
            else:
                pinned[named] = named.model_copy(update={"sha256": digest})
                pictures[pinned[named]] = picture
        if faults:
            raise InputUnusable(sentence(faults), faults)
        return (with_inputs(prompt, pinned), pictures) if pinned else (prompt, {})

    def _read(self, named: Input) -> tuple[str, Image]:
        from function.render.picture_files import Unusable
        from function.render.sources import picture

        stored = self._stores[named.bucket].read(named.key, limit=self._limit + 1)
        if stored is None:
            raise Unusable("is not there")
        if len(stored.body) > self._limit:
            raise Unusable(f"is larger than {self._limit} bytes")
        digest = hashlib.sha256(stored.body).hexdigest()
        if named.sha256 not in (None, digest):
            raise Unusable("has another sha256 than it should have")
        return digest, picture(stored.body)
