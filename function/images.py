"""Images: finished pictures in the image bucket."""

from __future__ import annotations

import hashlib
from urllib.parse import quote

from events.outcome import Image
from events.request import Request
from function import layout
from function.errors import PromptMismatch, StoreDown
from function.render import Model, Picture
from function.store import ObjectStore


class Images:
    """Keeps each picture of a request once: where one of the same prompt is already, that one counts."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def keep(self, request: Request, index: int, picture: Picture, model: Model) -> Image:
        """Store picture `index` of `request` and say what is stored."""
        key = layout.image(request.key, index)
        metadata = {
            "sha256": hashlib.sha256(picture.body).hexdigest(),
            "prompt-hash": request.prompt_hash,
            "seed": str(picture.seed),
            "size": str(len(picture.body)),
            "width": str(picture.width),
            "height": str(picture.height),
            # S3 metadata is ASCII.
            "model": quote(model.name),
            "revision": quote(model.revision or ""),
        }
        missing = StoreDown("object storage said that an image exists and then did not find it")
        try:
            created = self._store.create(key, picture.body, picture.content_type, metadata)
        except StoreDown as error:
            # It may be there, with the answer lost on its way.
            created, missing = False, error
        if not created:
            metadata = self._there(request, key, missing)
        return Image(
            bucket=self._store.bucket,
            key=key,
            sha256=metadata["sha256"],
            size=int(metadata["size"]),
            seed=int(metadata["seed"]),
            width=int(metadata["width"]),
            height=int(metadata["height"]),
            content_type=picture.content_type,
        )

    def _there(self, request: Request, key: str, missing: StoreDown) -> dict[str, str]:
        """The metadata of what is there; raises `missing` if nothing is."""
        stored = self._store.read(key, limit=0)
        if stored is None:
            raise missing
        if stored.metadata.get("prompt-hash") != request.prompt_hash:
            raise PromptMismatch
        return dict(stored.metadata)
