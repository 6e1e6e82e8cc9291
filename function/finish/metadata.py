"""What a file says of how it was drawn: the line that A1111's readers know, and all of it as JSON."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from events.prompt.schedulers import KINDS, NAMES
from function import __version__
from function.finish import Origin
from function.finish.xmp import PNG_KEYWORD

# A PNG's texts go by a keyword. Elsewhere they are Exif's: UserComment, where A1111 has its own, and MakerNote.
PARAMETERS, RECORD = "parameters", "darkroom"
USER_COMMENT, MAKER_NOTE, EXIF = 0x9286, 0x927C, 0x8769
UNICODE: Final = b"UNICODE\0"

_SOFTWARE, _VERSION = 0x0131, 0x9000
_ASCII, _LONG, _UNDEFINED = 2, 4, 7
_BIG_ENDIAN: Final = b"MM\0\x2a\0\0\0\x08"


@dataclass(frozen=True, slots=True)
class Said:
    """The texts that go into a file, those that there are to be."""

    parameters: str | None = None
    record: str | None = None
    xmp: str | None = None

    def texts(self) -> dict[str, str]:
        """By a PNG's keywords."""
        named = {PARAMETERS: self.parameters, RECORD: self.record, PNG_KEYWORD: self.xmp}
        return {keyword: text for keyword, text in named.items() if text is not None}

    def exif(self) -> bytes:
        """As Exif; a JPEG has 64 KiB for it, which the longest prompt there is leaves a part of."""
        # In UTF-16 by the byte order of the whole, as A1111 reads it wherever it is.
        comment = UNICODE + (self.parameters or "").encode("utf-16-be")
        return _exif([(MAKER_NOTE, (self.record or "").encode()), (USER_COMMENT, comment)])


def said(origin: Origin, seed: int, xmp: str | None) -> Said:
    """All that a file of this picture says."""
    return Said(infotext(origin.prompt, origin.model.name, seed), record(origin, seed), xmp)


def record(origin: Origin, seed: int) -> str:
    """The whole as JSON: with it, the model and its adapters anybody can draw the picture again."""
    told: dict[str, Any] = {
        "key": origin.key,
        "seed": seed,
        "prompt": {name: value for name, value in origin.prompt.items() if value is not None},
        "model": {"name": origin.model.name, "revision": origin.model.revision},
        "software": {"darkroom": __version__, **origin.software},
    }
    if origin.adapters:
        told["adapters"] = list(origin.adapters)
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"))


def infotext(prompt: Mapping[str, Any], model: str, seed: int) -> str:
    """The prompt and its settings, as A1111 writes and reads them."""
    lines = [prompt["prompt"]]
    if prompt.get("negative_prompt"):
        lines.append(f"Negative prompt: {prompt['negative_prompt']}")
    lines.append(", ".join(f"{name}: {_quoted(value)}" for name, value in _settings(prompt, model, seed)))
    return "\n".join(lines)


def _settings(prompt: Mapping[str, Any], model: str, seed: int) -> Iterator[tuple[str, str]]:
    yield "Steps", str(prompt["num_inference_steps"])
    yield "Sampler", _sampler(prompt["scheduler"], prompt.get("scheduler_config") or {})
    yield "CFG scale", f"{prompt['guidance_scale']:.10g}"
    yield "Seed", str(seed)
    yield "Size", f"{prompt['width']}x{prompt['height']}"
    yield "Model", model
    if prompt.get("image") and prompt.get("strength") is not None:
        yield "Denoising strength", f"{prompt['strength']:.10g}"
    if prompt.get("clip_skip"):
        yield "Clip skip", str(prompt["clip_skip"])
    yield "Version", f"Darkroom {__version__}"


def _sampler(kind: str, told: Mapping[str, Any]) -> str:
    """A1111's name for a scheduler that is told this, or its class."""
    said = {name: value for name, value in told.items() if value}
    for name, (known, implied) in NAMES.items():
        if known == kind and name not in KINDS and said == {what: value for what, value in implied.items() if value}:
            return name
    return kind


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False) if set(',:\n"') & set(text) else text


def _exif(notes: Sequence[tuple[int, bytes]]) -> bytes:
    """Exif (CIPA DC-008) with these notes, each in its tag, in ascending order."""
    software = f"Darkroom {__version__}\0".encode()
    within = [(_VERSION, _UNDEFINED, b"0232"), *((tag, _UNDEFINED, note) for tag, note in notes)]
    # Where the second directory begins depends on the first one's length alone.
    first = len(_directory([(_SOFTWARE, _ASCII, software), (EXIF, _LONG, bytes(4))], 8))
    pointer = struct.pack(">I", 8 + first)
    outer = _directory([(_SOFTWARE, _ASCII, software), (EXIF, _LONG, pointer)], 8)
    return b"Exif\0\0" + _BIG_ENDIAN + outer + _directory(within, 8 + first)


def _directory(entries: Sequence[tuple[int, int, bytes]], at: int) -> bytes:
    """A directory that begins at this offset, and behind it the values that do not fit into its entries."""
    head, values = struct.pack(">H", len(entries)), b""
    behind = at + 2 + 12 * len(entries) + 4
    for tag, kind, value in entries:
        held = value.ljust(4, b"\0")
        if len(value) > 4:
            held, values = struct.pack(">I", behind + len(values)), values + value + bytes(len(value) % 2)
        head += struct.pack(">HHI", tag, kind, 1 if kind == _LONG else len(value)) + held
    return head + bytes(4) + values
