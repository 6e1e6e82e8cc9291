"""Decodes each hostile file in this process, and prints what is said of it and how far the memory grew meanwhile."""

from __future__ import annotations

import json
import re
from pathlib import Path

from function.render.picture_files import Unusable
from function.render.sources import picture
from tests.inputs.hostile import FORMATS, hostile
from tests.inputs.hostile import picture as harmless


def memory(which: str) -> int:
    """KiB that lie in memory, now or at most since it was last forgotten."""
    found = re.search(rf"{which}:\s+(\d+)", Path("/proc/self/status").read_text())
    if found is None:
        raise AssertionError(which)
    return int(found[1])


def main() -> None:
    for kind in FORMATS:
        picture(harmless(kind))
    for name, body, _ in hostile():
        # The highest mark starts anew from what is there now.
        Path("/proc/self/clear_refs").write_text("5")
        before = memory("VmRSS")
        try:
            picture(body)
            said = None
        except Unusable as error:
            said = str(error)
        print(json.dumps([name, said, memory("VmHWM") - before]), flush=True)


if __name__ == "__main__":
    main()
