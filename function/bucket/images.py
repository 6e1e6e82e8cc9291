"""Images: finished pictures in the image bucket."""

from __future__ import annotations

import hashlib
from typing import Any
from urllib.parse import quote

from events import outcome
from events.request import Request
from function import layout
from function.errors import PromptMismatch, StoreDown
from function.finish import File, Finished
from function.render import Model
from function.store import ObjectStore


class Images:
    """Keeps each file of a request's pictures once: where one of the same prompt is already, that one counts.

    Whoever has a file's URL is told its object's metadata, too: with `metadata=False` they are what a redelivery needs.
    """

    def __init__(self, store: ObjectStore, *, metadata: bool = True) -> None:
        self._store = store
        self._metadata = metadata

    def keep(
        self, request: Request, index: int, finished: Finished, model: Model, prefix: str = layout.IMAGES
    ) -> outcome.Image:
        """Store picture `index` of `request` below `prefix`, and say what is stored."""
        about = {"pixels-sha256": finished.pixels_sha256}
        if self._metadata:
            # S3 metadata is ASCII.
            about |= {"seed": str(finished.seed), "model": quote(model.name), "revision": quote(model.revision or "")}
        kept = []
        for output, file in enumerate(finished.files):
            key = layout.image(request.key, index, file.suffix, output, prefix)
            kept.append(self._keep(request, key, file, about))
        (first, stored), *others = kept
        # The prompt's hash is the same, and with it the seed.
        told = first | {"seed": int(stored.get("seed", finished.seed)), "pixels_sha256": stored["pixels-sha256"]}
        if others:
            told["renditions"] = [outcome.File(**other) for other, _ in others]
        return outcome.Image.model_validate(told)

    def _keep(
        self, request: Request, key: str, file: File, about: dict[str, str]
    ) -> tuple[dict[str, Any], dict[str, str]]:
        """What an outcome says of the file that is there now, and its metadata."""
        metadata = {
            "sha256": hashlib.sha256(file.body).hexdigest(),
            "prompt-hash": request.prompt_hash,
            "size": str(len(file.body)),
            "width": str(file.width),
            "height": str(file.height),
            **about,
        }
        missing = StoreDown("object storage said that an image exists and then did not find it")
        try:
            created = self._store.create(key, file.body, file.content_type, metadata)
        except StoreDown as error:
            # It may be there, with the answer lost on its way.
            created, missing = False, error
        if not created:
            metadata = self._there(request, key, missing)
        told = {
            "bucket": self._store.bucket,
            "key": key,
            "sha256": metadata["sha256"],
            "size": int(metadata["size"]),
            "width": int(metadata["width"]),
            "height": int(metadata["height"]),
            "content_type": file.content_type,
        }
        return told, metadata

    def _there(self, request: Request, key: str, missing: StoreDown) -> dict[str, str]:
        """The metadata of what is there; raises `missing` if nothing is."""
        stored = self._store.read(key, limit=0)
        if stored is None:
            raise missing
        if stored.metadata.get("prompt-hash") != request.prompt_hash:
            raise PromptMismatch
        return dict(stored.metadata)
