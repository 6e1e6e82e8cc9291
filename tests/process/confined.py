"""A program: `confined.py HOW MODULE COMMAND` runs a module where it may not write.

`full`: no file may grow, as on a disk that is full. `readonly`: every file system is mounted read-only.
"""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path
from typing import Final

# Seen by the process and its children alone: a mount namespace of their own, and a user namespace to be allowed it.
UNSHARED: Final = ("unshare", "--user", "--map-root-user", "--mount", "--propagation", "private")
# And there the first process, as in a container; `unshare` is its parent, and ends it as it ends.
FIRST: Final = ("--pid", "--fork", "--kill-child")
# What a container has writable beside a read-only root, and what no bytes stay in.
STAY: Final = ("/proc", "/sys", "/dev")


def mounts() -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line.split()[4] for line in lines if not line.split()[4].startswith(STAY)]


def main(how: str, *program: str) -> None:
    command = [sys.executable, "-m", *program]
    if how == "full":
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        os.execv(command[0], command)  # noqa: S606  # no shell is the point
    if how == "readonly":
        script = " && ".join(f"mount -o remount,bind,ro '{mount}'" for mount in mounts())
        os.execvp(UNSHARED[0], [*UNSHARED, "sh", "-c", f'{script} && exec "$@"', "sh", *command])  # noqa: S606  # "


if __name__ == "__main__":
    main(*sys.argv[1:])
