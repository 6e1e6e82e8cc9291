"""What may lie in a model's directory: nothing that can run, and beside a manifest what that lists and no more.

The manifest, `SHA256SUMS`, is what `sha256sum` writes, so `sha256sum --check SHA256SUMS` checks it, too.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

MANIFEST: Final = "SHA256SUMS"
# Says where a folder's files come from. `darkroom prefetch` writes it first, and the manifest when all are there.
ORIGIN: Final = ".darkroom.json"
# Writes it, for the directory that it is run in.
WRITE: Final = "find -L * -type f ! -path SHA256SUMS -exec sha256sum {} + | sort -k 2 > SHA256SUMS"

# Code, and the formats of weights that can carry some.
RUNNABLE: Final = frozenset({".bin", ".ckpt", ".pkl", ".pt", ".pth", ".py"})

_LINE: Final = re.compile(r"(?P<sum>[0-9a-f]{64}) [ *](?:\./)?(?P<name>.+)")
_NAMED: Final = 3


def runnable(folder: Path) -> str | None:
    """What is wrong with `folder` if files in it could run, however deep they lie."""
    found = [name for name in files_in(folder) if Path(name).suffix.lower() in RUNNABLE]
    if not found:
        return None
    kinds = ", ".join(f"*{suffix}" for suffix in sorted(RUNNABLE))
    return f"holds {_some(found)}: files of the kinds {kinds} can run code and are never read; remove them"


def mismatch(folder: Path) -> str | None:
    """What is wrong with `folder` by its manifest, None without one; reads every byte, 1.5 GB a second."""
    try:
        lines = (folder / MANIFEST).read_text("utf-8").splitlines()
    except FileNotFoundError:
        half = "is only half there: let `darkroom prefetch` end, or run it again"
        return half if (folder / ORIGIN).exists() else None
    except (OSError, ValueError):
        return f"has a {MANIFEST} that cannot be read; write it again with: {WRITE}"
    listed: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        entry = _LINE.fullmatch(line)
        if entry is None:
            return f"has a {MANIFEST} whose line {number} is not one of sha256sum's; write it again with: {WRITE}"
        listed[entry["name"]] = entry["sum"]
    # Hidden ones, such as a downloader's notes, are nobody's part of the model.
    there = {name for name in files_in(folder) if not name.startswith(".") and name != MANIFEST}
    complaints = [
        *(f"{name} is missing" for name in sorted(listed.keys() - there)),
        *(f"{name} is not listed" for name in sorted(there - listed.keys())),
        *(f"{name} has changed" for name in sorted(there & listed.keys()) if not _is(folder / name, listed[name])),
    ]
    if not complaints:
        return None
    return f"is not what its {MANIFEST} lists: {_some(complaints)}; fetch it again or, if that was meant, run: {WRITE}"


def files_in(folder: Path) -> Iterator[str]:
    """Every file's path in `folder`; links are followed, since a hub's snapshot consists of them, but never back."""
    for place, folders, names in os.walk(folder, followlinks=True):
        here = Path(place).resolve()
        folders[:] = [name for name in folders if not here.is_relative_to((here / name).resolve())]
        yield from ((Path(place) / name).relative_to(folder).as_posix() for name in sorted(names))


def file_sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is(path: Path, sum: str) -> bool:
    # A link may lead to what is no file: nowhere, or to a device that gives bytes without end.
    return path.is_file() and file_sum(path) == sum


def _some(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
