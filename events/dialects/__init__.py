"""How each kind of server says that there is something to draw.

One module a dialect, asked in order; each recognises its own messages and does no I/O. Whose type says it all comes
first, shapes follow, and a Kafka record is only taken for a prompt where no shape was recognised in it.
"""

from __future__ import annotations

from events.dialects import direct, eventbridge, integration, kafka, s3, seaweedfs, sqs
from events.dialects.found import Carried, Dropped, Found, Nothing, Prompted
from events.envelope import Message

__all__ = ["Carried", "Dropped", "Found", "Nothing", "Prompted", "read"]

DIALECTS = (direct.read, integration.read, s3.read, eventbridge.read, sqs.read, seaweedfs.read, kafka.read)


def read(message: Message) -> Found:
    """What `message` asks for, whoever sent it; `Nothing` when no dialect knows it."""
    for dialect in DIALECTS:
        if (found := dialect(message)) is not None:
            return found
    return Nothing("no dialect knows this message")
