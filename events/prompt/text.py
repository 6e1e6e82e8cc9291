"""What a text of a prompt may hold."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator, StringConstraints

CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


def _legible(text: str) -> str:
    # They draw nothing, and at six bytes of JSON each they would burst a completion's 64 KiB.
    if CONTROL.search(text):
        raise ValueError("must not hold control characters")
    return text


Legible = AfterValidator(_legible)
Text = Annotated[str, StringConstraints(max_length=4000), Legible]
Words = Annotated[str, StringConstraints(max_length=4000, pattern=r"\S"), Legible]
