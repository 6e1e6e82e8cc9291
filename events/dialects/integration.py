"""Knative's IntegrationSource of `aws.s3`, which sends a new object's bytes and, unless told otherwise, deletes it."""

from __future__ import annotations

from typing import Final

from events.dialects.found import Carried, Found
from events.envelope import Message, decode_json
from events.request import context_of

TYPE: Final = "dev.knative.eventing.aws-s3"


def read(message: Message) -> Found | None:
    """The JSON in the object, whatever type its content is said to have; the object's name is not told."""
    if message.type != TYPE:
        return None
    try:
        received = decode_json(message.body)
    except ValueError:
        # The object is deleted by now: a failure that is told is better than silence.
        received = None
    return Carried(message.attributes["source"], message.attributes["id"], received, context_of(message))
