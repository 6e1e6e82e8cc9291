"""How A1111 reads a picture's parameters: after its modules/images.py and modules/infotext_utils.py (1.10)."""

from __future__ import annotations

import io
import json
import re
from typing import Any

from PIL import Image

RE_PARAM = re.compile(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)')
RE_IMAGESIZE = re.compile(r"^(\d+)x(\d+)$")
USER_COMMENT, EXIF = 0x9286, 0x8769


def parameters_in(file: bytes) -> str | None:
    """The text that A1111 finds: by its keyword, and else in Exif's UserComment, as piexif decodes it."""
    with Image.open(io.BytesIO(file)) as picture:
        if "parameters" in picture.info:
            return str(picture.info["parameters"])
        comment: Any = picture.getexif().get_ifd(EXIF).get(USER_COMMENT, b"")
    if comment[:8] != b"UNICODE\0":
        return None
    return str(comment[8:].decode("utf_16_be"))


def parsed(text: str) -> dict[str, str]:
    """The prompt, the negative prompt, and each setting by its name."""
    found: dict[str, str] = {}
    prompt: list[str] = []
    negative: list[str] = []
    *lines, last = text.strip().split("\n")
    if len(RE_PARAM.findall(last)) < 3:
        lines.append(last)
        last = ""
    into = prompt
    for line in map(str.strip, lines):
        if line.startswith("Negative prompt:"):
            into = negative
            into.append(line[16:].strip())
        else:
            into.append(line)
    for name, value in RE_PARAM.findall(last):
        plain = json.loads(value) if value[:1] == value[-1:] == '"' else value
        if size := RE_IMAGESIZE.match(plain):
            found |= {f"{name}-1": size[1], f"{name}-2": size[2]}
        else:
            found[name] = plain
    return found | {"Prompt": "\n".join(prompt), "Negative prompt": "\n".join(negative)}
