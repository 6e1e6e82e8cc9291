"""A plain Kafka record with a prompt in it, as Knative's KafkaSource wraps it."""

from __future__ import annotations

import hashlib
from typing import Final

from events.dialects.direct import looks_like_prompts
from events.dialects.found import Carried, Found, Nothing
from events.envelope import Message
from events.request import context_of

TYPE: Final = "dev.knative.kafka.event"


def read(message: Message) -> Found | None:
    """The record's value, if it looks like a prompt, a list of them, or an object that holds such a list."""
    if message.type != TYPE:
        return None
    if not isinstance(message.data, list) and not looks_like_prompts(message.data):
        return Nothing("a Kafka record without a prompt")
    return Carried(message.attributes["source"], _id(message), message.data, context_of(message))


def _id(message: Message) -> str:
    """Partition and offset, which are all that a KafkaSource's id says, come back when the topic was made anew."""
    sent = message.attributes
    parts = (sent["id"].encode("utf-8", "surrogatepass"), sent.get("time", "").encode(), message.body)
    return hashlib.sha256(b"\0".join(parts)).hexdigest()
