"""The project's own files, as the checks see them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[2]


def modules(*rooms: str) -> list[Path]:
    """Every module in these folders, relative to the root; never empty."""
    found = [path.relative_to(ROOT) for room in rooms for path in sorted((ROOT / room).rglob("*.py"))]
    assert found, f"no module in {rooms}"
    return found


def dotted(path: Path) -> str:
    """The name that a module is imported by."""
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def line_counts(paths: Iterable[Path]) -> dict[Path, int]:
    """Lines in each module that has any."""
    counts = {path: len((ROOT / path).read_text("utf-8").splitlines()) for path in paths}
    return {path: count for path, count in counts.items() if count}


def committable() -> list[Path]:
    """Every file that git tracks or would add, relative to the root."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return [path for name in listing.split("\0") if name and (ROOT / (path := Path(name))).is_file()]
