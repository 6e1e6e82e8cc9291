"""XMP: what anyone can read in a file of how it came to be, and anyone can write or remove."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Final

from PIL import Image

from function import __version__

# Where a PNG keeps it; the other formats have a place of their own, and Pillow's encoders an argument `xmp`.
PNG_KEYWORD: Final = "XML:com.adobe.xmp"

_NEWSCODES: Final = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_FORMATS: Final = ("PNG", "JPEG", "WEBP", "AVIF")
# What Pillow raises of bytes that it cannot make sense of.
UNREADABLE: Final = (OSError, RuntimeError, SyntaxError, ValueError, Image.DecompressionBombError)
# As an element or as an attribute, by whatever prefix its writer chose. What may stand between is bounded: otherwise a
# stranger's packet of names without a value takes time by the square of its length.
_SOURCE: Final = re.compile(
    r"""[\s<:]DigitalSourceType(?:\s*=\s*["']|[^<>]{0,200}?resource\s*=\s*["']|\s*>\s*)([^"'<>\s]+)"""
)
# As much as a JPEG has room for.
_MOST_READ: Final = 1 << 16


class SourceType(StrEnum):
    """IPTC's terms for what Darkroom makes: media of a model, and media that a model has changed."""

    GENERATED = f"{_NEWSCODES}trainedAlgorithmicMedia"
    COMPOSITE = f"{_NEWSCODES}compositeWithTrainedAlgorithmicMedia"


def packet(source: SourceType) -> str:
    """The packet that says so, to be put into a file as it is encoded."""
    return f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
    xmlns:xmp="http://ns.adobe.com/xap/1.0/">
   <Iptc4xmpExt:DigitalSourceType>{source}</Iptc4xmpExt:DigitalSourceType>
   <xmp:CreatorTool>Darkroom {__version__}</xmp:CreatorTool>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="r"?>"""


@contextmanager
def opened(file: bytes) -> Iterator[Image.Image]:
    """The picture, opened and never decoded; one of `UNREADABLE` for what is none."""
    with warnings.catch_warnings():
        # Of Exif that leads nowhere, and of pictures so large that they had better not be decoded: none is here.
        warnings.simplefilter("ignore")
        with Image.open(io.BytesIO(file), formats=_FORMATS) as picture:
            yield picture


def source_type(file: bytes) -> str | None:
    """The digital source type that a file's XMP states; None without one, and for what is no picture."""
    try:
        with opened(file) as picture:
            found = picture.info.get("xmp", b"")
    except UNREADABLE:
        return None
    found = found[:_MOST_READ]
    text = found if isinstance(found, str) else bytes(found).decode("utf-8", "replace")
    stated = _SOURCE.search(text)
    return stated[1] if stated else None
