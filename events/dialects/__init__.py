"""How each kind of server says that there is something to draw.

One module a dialect, asked in order; each recognises its own messages by their shape and does no I/O.
"""

from __future__ import annotations

from events.dialects import direct, s3, seaweedfs
from events.dialects.found import Dropped, Found, Nothing, Prompted
from events.envelope import Message

__all__ = ["Dropped", "Found", "Nothing", "Prompted", "read"]

DIALECTS = (direct.read, s3.read, seaweedfs.read)


def read(message: Message) -> Found:
    """What `message` asks for, whoever sent it; `Nothing` when no dialect knows it."""
    for dialect in DIALECTS:
        if (found := dialect(message)) is not None:
            return found
    return Nothing("no dialect knows this message")
