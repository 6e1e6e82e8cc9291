"""What a process of its own says of hostile files, so that its memory is theirs alone."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any, Final

from tests.darkroom import REPOSITORY

MOST_KIB: Final = 64 << 10


def rows_of(*program: str, seconds: float) -> list[Any]:
    """The JSON of each line that Python prints, run with these arguments; it must end well, and in that time."""
    run = subprocess.run(
        [sys.executable, *program], cwd=REPOSITORY, capture_output=True, text=True, timeout=seconds, check=False
    )
    assert run.returncode == 0, run.stderr
    return [json.loads(line) for line in run.stdout.splitlines()]
