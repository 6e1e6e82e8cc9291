"""What a command shows on a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Mapping, Sequence

from tests.darkroom import REPOSITORY


def on_a_terminal(command: Sequence[str], environment: Mapping[str, str]) -> tuple[bytes, list[str]]:
    """What a command shows whose errors' stream is a terminal, and the lines that it prints; it must end well."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        command, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, stderr=theirs, text=True
    ) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                shown += os.read(ours, 1 << 16)
            except OSError:  # the other end was closed
                break
        printed = process.stdout.read().splitlines() if process.stdout else []
    os.close(ours)
    assert process.returncode == 0, shown
    return shown, printed
