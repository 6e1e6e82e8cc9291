"""The CloudEvents around the data."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from events import DATASCHEMA, IMAGE_COMPLETED, IMAGE_FAILED, IMAGE_REQUESTED, PROMPTS_DROPPED
from events.contract.data import Completed, Count, Dropped, Emitted, Failed, Recorded, Requested, Text, opened


def _described(schema: dict[str, Any], kind: type[CloudEvent]) -> None:
    opened(schema)
    # CloudEvents 1.0, section 3.1.3, and its JSON format, section 2.2.
    schema["additionalProperties"] = {"type": ["string", "integer", "boolean"]}
    schema["propertyNames"] = {"pattern": "^[a-z0-9]+$"}
    schema["properties"]["type"]["const"] = kind.TYPE
    schema["properties"]["dataschema"]["const"] = DATASCHEMA[kind.TYPE]


Filled = Annotated[Text, Field(json_schema_extra={"minLength": 1})]
Uri = Annotated[Text, Field(json_schema_extra={"minLength": 1, "format": "uri-reference"})]


SUBJECT: Final = "bucket/key of the prompt file, control characters percent-encoded; without one, the request's id"


class CloudEvent(Emitted):
    """What is promised of every event's attributes; there may be others, such as those of a SinkBinding's overrides."""

    model_config = ConfigDict(json_schema_extra=_described)

    TYPE: ClassVar[str]

    specversion: Literal["1.0"] = Field(description="the version of CloudEvents")
    id: Filled = Field(description="with source, what makes two deliveries the same event")
    source: Uri = Field(description="who says so; for what a dropped file asks, s3:// and its bucket")
    type: Text = Field(description="what happened")
    time: Text | None = Field(None, description="when", json_schema_extra={"format": "date-time"})
    subject: Filled | None = Field(None, description=SUBJECT)
    datacontenttype: Literal["application/json"] | None = Field(None, description="what the data is")
    dataschema: Text | None = Field(None, description="which schema the data keeps to: a name, no download")
    correlationid: Text | None = Field(None, description="copied from the request")
    partitionkey: Text | None = Field(None, description="copied from the request; intake gives it one, its key")
    traceparent: Text | None = Field(None, description="copied from the request (W3C Trace Context)")
    tracestate: Text | None = Field(None, description="copied from the request (W3C Trace Context)")

    @classmethod
    def now(cls, **rest: Any) -> dict[str, Any]:
        """An event of this type in its JSON form."""
        return cls(
            specversion="1.0",
            type=cls.TYPE,
            time=datetime.now(UTC).isoformat(timespec="milliseconds"),
            datacontenttype="application/json",
            dataschema=DATASCHEMA[cls.TYPE],
            **rest,
        ).model_dump(exclude_unset=True)


class AskingEvent(CloudEvent):
    """Something is to be drawn."""

    expirytime: Text | None = Field(
        None,
        description="from then on it is not drawn any more, and fails as `expired`; copied from a file to its prompts",
        json_schema_extra={"format": "date-time"},
    )


class PromptsDropped(AskingEvent):
    """An object was created that may hold prompts; sent by intake's door, or by anyone who dropped one."""

    TYPE = PROMPTS_DROPPED

    data: Dropped = Field(description="the object")


class ImageRequested(AskingEvent):
    """A prompt is to be drawn; sent by intake for each prompt of a file, or by anyone."""

    TYPE = IMAGE_REQUESTED

    batchid: Text | None = Field(None, description="set by intake: the key of the file or message with all its prompts")
    batchindex: Count | None = Field(None, description="set by intake: which of them it is, counted from 0")
    batchsize: Count | None = Field(None, description="set by intake: how many there are")
    retry: Count | None = Field(None, description="set by `darkroom retry`: which retry it is, counted from 1")
    data: Requested = Field(description="the prompt")


class OutcomeEvent(CloudEvent):
    """How a request ended, whose attributes are always there."""

    time: Text = Field(description="when it ended", json_schema_extra={"format": "date-time"})
    subject: Filled = Field(description=SUBJECT)
    datacontenttype: Literal["application/json"] = Field(description="what the data is")
    dataschema: Text = Field(description="which schema the data keeps to: a name, no download")
    causationid: Filled = Field(description="the request's id")


class ImageRecorded(OutcomeEvent):
    """A completion as it is recorded."""

    TYPE = IMAGE_COMPLETED

    data: Recorded = Field(description="what was drawn")


class ImageCompleted(OutcomeEvent):
    """A request was drawn."""

    TYPE = IMAGE_COMPLETED

    data: Completed = Field(description="what was drawn")


class ImageFailed(OutcomeEvent):
    """A request cannot be drawn."""

    TYPE = IMAGE_FAILED

    data: Failed = Field(description="why")


# What is published, each with its data.
EVENTS: Final[Mapping[type[CloudEvent], type[BaseModel]]] = {
    PromptsDropped: Dropped,
    ImageRequested: Requested,
    ImageCompleted: Completed,
    ImageFailed: Failed,
}
