"""docs/install.md as a program: its blocks that are marked `local` are what `make e2e` installs with, word for word."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

from tests.darkroom import REPOSITORY
from tests.docs.test_readme import blocks

PAGE: Final = REPOSITORY / "docs" / "install.md"
BASH: Final = ("bash", "-eu", "-o", "pipefail", "-c")
WITHIN: Final = 1200.0

Part = Literal["install", "prompt", "uninstall"]


def script(part: Part) -> str:
    """All blocks of a part in a row, as they would be typed into one shell."""
    texts = [block.text for block in blocks(PAGE.read_text("utf-8")) if block.kind == f"sh local {part}"]
    assert texts, f"{PAGE.name} has no block marked `sh local {part}`"
    return "\n".join(texts)


def follow(part: Part, folder: Path) -> None:
    """Type that in `folder`; what was put into the background ends with it."""
    with tempfile.TemporaryFile("w+") as printed:
        shell = subprocess.Popen(
            [*BASH, script(part)], cwd=folder, stdout=printed, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            status = shell.wait(WITHIN)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)
        printed.seek(0)
        assert status == 0, f"{PAGE.name}, {part}:\n{printed.read()}"
