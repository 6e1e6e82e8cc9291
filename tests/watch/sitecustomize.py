"""In every Python process of the test suite: notes what leaves this machine and, where asked, what is written to disk.

Python imports a module of this name at its start from wherever PYTHONPATH leads. FOREIGN_LOG and WRITES_LOG name the
files that hold the notes, one a line.
"""

from __future__ import annotations

import ipaddress
import json
import os
import sys

FOREIGN_LOG = os.environ.get("FOREIGN_LOG")
WRITES_LOG = os.environ.get("WRITES_LOG")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
MAKING = ("os.mkdir", "os.rename", "os.link", "os.symlink", "os.truncate")


def is_foreign(host: object) -> bool:
    """Whether an address or a name may lead outside this machine."""
    name = os.fsdecode(host) if isinstance(host, bytes) else str(host or "")
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        # What has a blank in it is no name that a resolver would ask anybody for.
        return name not in ("", "localhost") and " " not in name
    return not (address.is_loopback or address.is_unspecified)


def host_of(event: str, arguments: tuple[object, ...]) -> object:
    """Where an event of Python's audit leads to; None if nowhere."""
    if event in ("socket.connect", "socket.sendto"):
        address = arguments[1]
        # What is no tuple is the path of a Unix socket.
        return address[0] if isinstance(address, tuple) else None
    return arguments[0] if event in ("socket.getaddrinfo", "socket.gethostbyname") else None


def written_by(event: str, arguments: tuple[object, ...]) -> str | None:
    """The path that an event of Python's audit writes to; None if it is no file system's, or none."""
    path, flags = arguments[0] if arguments else None, arguments[2] if len(arguments) > 2 else 0
    writes = event in MAKING or (event == "open" and isinstance(flags, int) and bool(flags & WRITING))
    if not writes or not isinstance(path, str | bytes | os.PathLike):
        return None
    name = os.fsdecode(path)
    return None if name.startswith("/dev/") or (event == "os.mkdir" and os.path.isdir(name)) else name  # noqa: PTH112


def note(event: str, arguments: tuple[object, ...]) -> None:
    """An audit hook, which nothing takes away again from a process."""
    if FOREIGN_LOG and event.startswith("socket.") and is_foreign(host := host_of(event, arguments)):
        append(FOREIGN_LOG, json.dumps({"event": event, "host": str(host), "program": sys.orig_argv}))
    if WRITES_LOG and (path := written_by(event, arguments)) and path != WRITES_LOG:
        append(WRITES_LOG, path)


def append(path: str, line: str) -> None:
    log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(log, line.encode() + b"\n")
    os.close(log)


sys.addaudithook(note)
