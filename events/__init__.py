"""What is said: prompts, requests, outcomes and the dialects in which servers announce a dropped file."""

from __future__ import annotations

from typing import Final

PROMPTS_DROPPED: Final = "dev.darkroom.prompts.dropped"
IMAGE_REQUESTED: Final = "dev.darkroom.image.requested"
IMAGE_COMPLETED: Final = "dev.darkroom.image.completed"
IMAGE_FAILED: Final = "dev.darkroom.image.failed"

# Identifiers, which nobody has to download. Within 1 only what is optional to a reader is added.
SCHEMAS: Final = "https://darkroom.dev/schemas/1/"
DATASCHEMA: Final = {
    kind: f"{SCHEMAS}{kind.removeprefix('dev.darkroom.')}.json"
    for kind in (PROMPTS_DROPPED, IMAGE_REQUESTED, IMAGE_COMPLETED, IMAGE_FAILED)
}
