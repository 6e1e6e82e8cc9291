"""From a stranger's picture file to pixels."""

from __future__ import annotations

import io
from typing import Final

from PIL import Image, ImageOps, PngImagePlugin

from function.render.picture_files import MOST_BESIDE, Unusable, header_of

# Pillow would inflate 64 MiB of text on the way to the pixels.
PngImagePlugin.MAX_TEXT_MEMORY = MOST_BESIDE

# Of more than 8 bits for a channel Pillow would keep the lower ones.
_DEEP: Final = frozenset({"F", "I", "I;16", "I;16B", "I;16L"})


def picture(body: bytes) -> Image.Image:
    """The picture in `body` as diffusers' `load_image` gives it, upright and in RGB; `Unusable` if there is none."""
    header = header_of(body)
    try:
        with Image.open(io.BytesIO(body), formats=[header.format]) as opened:
            opened.load()
            if (opened.format, *opened.size) == (header.format, header.width, header.height):
                return _plain(ImageOps.exif_transpose(opened))
    except (Unusable, MemoryError):
        raise
    except Exception as error:
        # There are as many of them as ways to be broken: SyntaxError, struct.error, KeyError and so on.
        raise Unusable(f"cannot be decoded as {header.format}") from error
    raise Unusable("is not what its header says")


def _plain(image: Image.Image) -> Image.Image:
    if image.mode in _DEEP:
        raise Unusable("has more than 8 bits of grey; save it with 8")
    if "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert("RGB")
