"""`darkroom demo` as its user runs it: a process of its own in a folder of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.darkroom import REPOSITORY, eventually

PATIENCE: Final = 600.0
INVITATION: Final = "Press Ctrl-C to stop everything."


class Demo:
    """A running demo; `home` is all of the disk that it is shown, and `folder` in it is where it may write."""

    def __init__(self, home: Path, *options: str) -> None:
        self.home = home
        self.folder = home / "demo"
        self._output = home / "output.txt"
        self._errors = home / "errors.txt"
        (home / "tmp").mkdir()
        paths = os.pathsep.join([str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])])
        places = {"HOME": str(home), "TMPDIR": str(home / "tmp"), "PYTHONPATH": paths}
        with self._output.open("wb") as output, self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "function.cli", "demo", *options],
                cwd=home,
                env=dict(os.environ) | places,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def output(self) -> str:
        return self._output.read_text("utf-8")

    @property
    def errors(self) -> str:
        return self._errors.read_text("utf-8")

    def wait(self) -> int:
        """The exit code, of a demo that ends by itself."""
        return self._process.wait(PATIENCE)

    def wait_invitation(self) -> dict[str, str]:
        """What the kept demo says to export: S3's variables, URL and TOKEN."""

        def invited() -> bool:
            assert self._process.poll() is None, f"the demo ended early:\n{self.output}\n{self.errors}"
            return INVITATION in self.output

        eventually(invited, "the demo asks for the next prompt", PATIENCE)
        exports = re.findall(r"^ *export (.*)$", self.output, re.MULTILINE)[0]
        return dict(pair.split("=", 1) for pair in exports.split())

    def stop(self) -> int:
        """Press Ctrl-C; the exit code."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        return self.wait()

    def written(self) -> list[str]:
        """Every file below `home` but the captured output, relative to it."""
        files = [path.relative_to(self.home) for path in self.home.rglob("*") if path.is_file()]
        return [str(path) for path in sorted(files) if path.name not in ("output.txt", "errors.txt")]

    def processes(self) -> list[str]:
        """The command lines of all processes that work in `home` or have a file of it open; only Linux shows any."""
        processes = Path("/proc").glob("[0-9]*")
        return sorted(_command(one) for one in processes if any(self._is_inside(link) for link in _links(one)))

    def _is_inside(self, link: Path) -> bool:
        try:
            return link.readlink().is_relative_to(self.home)
        except OSError:  # it ended, or is another user's
            return False


def _links(process: Path) -> list[Path]:
    try:
        return [process / "cwd", *(process / "fd").iterdir()]
    except OSError:
        return []


def _command(process: Path) -> str:
    try:
        return (process / "cmdline").read_text(errors="replace").replace("\0", " ").strip()
    except OSError:
        return ""
