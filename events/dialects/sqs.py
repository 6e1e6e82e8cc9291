"""What carries S3's notifications on AWS: SQS messages and SNS notifications, each a JSON text inside JSON.

An SQS message is `{"MessageId", "Body"}` as ReceiveMessage returns it, and one of `{"Records": [{"eventSource":
"aws:sqs", "body"}]}` as an event source mapping hands it on. An IntegrationSource of `aws.sqs` sends the text alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from events.dialects import eventbridge, s3
from events.dialects.found import Dropped, Found, Nothing
from events.envelope import Message, decode_json

# S3 -> SNS -> SQS is two, and a topic may feed another account's queue by way of a third.
MAX_DEPTH: Final = 4


def read(message: Message) -> Found | None:
    """The objects that the notifications inside say were created; what SNS asks to be confirmed is not."""
    texts = _texts(message.data)
    if texts is None:
        return None
    found = [inner for text in texts for inner in _found(text, MAX_DEPTH)]
    objects = tuple(ref for each in found if isinstance(each, Dropped) for ref in each.objects)
    return Dropped(objects) if objects else Nothing("a message of SQS or SNS without a created object")


def _found(text: str, depth: int) -> Iterator[Found]:
    try:
        data = decode_json(text.encode("utf-8", "surrogatepass"))
    except ValueError:
        return
    if depth and (texts := _texts(data)) is not None:
        for inner in texts:
            yield from _found(inner, depth - 1)
    elif (found := s3.read(Message(data)) or eventbridge.read(Message(data))) is not None:
        yield found


def _texts(data: object) -> list[str] | None:
    """The texts that an envelope holds, none where it is to be confirmed; None if `data` is no envelope."""
    if not isinstance(data, dict):
        return None
    records = data.get("Records")
    if isinstance(records, list) and records:
        if all(isinstance(record, dict) and record.get("eventSource") == "aws:sqs" for record in records):
            return [body for record in records if isinstance(body := record.get("body"), str)]
        return None
    if {"Type", "TopicArn"} <= data.keys():
        # To confirm a subscription is the administrator's to do: nothing here follows a stranger's link.
        held = data.get("Message") if data["Type"] == "Notification" else None
    elif {"MessageId", "Body"} <= data.keys():
        held = data["Body"]
    else:
        return None
    return [held] if isinstance(held, str) else []
