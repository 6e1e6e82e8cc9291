"""How pictures are kept: below which prefixes of the image bucket, and what S3 is asked for beside their bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Self
from urllib.parse import urlencode

from events.prompt import Prompt
from function import layout
from function.config import Settings
from function.errors import Lacking


@dataclass(frozen=True, slots=True)
class Keeping:
    """What the installation wants of the objects that pictures become."""

    destinations: tuple[str, ...] = ()
    cache_control: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    kms_key: str | None = None

    @classmethod
    def wanted(cls, settings: Settings) -> Self:
        """As the settings want it."""
        return cls(settings.destinations, settings.cache_control, settings.tags, settings.sse_kms_key)

    @property
    def prefixes(self) -> tuple[str, ...]:
        """What every picture's key begins with one of."""
        return (layout.IMAGES, *(f"{prefix}/" for prefix in self.destinations))

    @staticmethod
    def prefix(prompt: Prompt) -> str:
        """Where the prompt's pictures belong."""
        return f"{prompt.destination.prefix}/" if prompt.destination else layout.IMAGES

    def check(self, prompt: Prompt) -> None:
        """Raises `Lacking`, unless the prompt's pictures may be kept where they belong."""
        if prompt.destination and not self.prefix(prompt).startswith(tuple(f"{one}/" for one in self.destinations)):
            there = f"there are {', '.join(self.destinations)}" if self.destinations else "there is none"
            raise Lacking(f"destination.prefix is none that DARKROOM_DESTINATIONS allows; {there}")

    def asked_for(self, key: str) -> dict[str, str]:
        """What PutObject is asked for beside the bytes of an object; of what is no picture nothing."""
        if not key.startswith(self.prefixes):
            return {}
        path = PurePosixPath(key)
        # Saved by a browser it would be one of many that are called 0.png.
        asked = {"ContentDisposition": f'inline; filename="{path.parent.name[:12]}-{path.name}"'}
        if self.cache_control:
            asked["CacheControl"] = self.cache_control
        if self.tags:
            asked["Tagging"] = urlencode(self.tags)
        if self.kms_key:
            asked |= {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": self.kms_key}
        return asked
