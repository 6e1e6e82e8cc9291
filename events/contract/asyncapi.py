"""The AsyncAPI 3.0 document: where the events come from and go to, and in which form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from events import IMAGE_COMPLETED, IMAGE_FAILED, IMAGE_REQUESTED, PROMPTS_DROPPED
from events.contract.event import EVENTS
from events.contract.examples import PROMPT, examples
from events.contract.schemas import components
from events.envelope import STRUCTURED

POST: Final = {"http": {"method": "POST", "bindingVersion": "0.3.0"}}
BINARY: Final = ".binary"

ASKING: Final = (PROMPTS_DROPPED, IMAGE_REQUESTED)
ASKING_BINARY: Final = (PROMPTS_DROPPED + BINARY, IMAGE_REQUESTED + BINARY)
OUTCOMES: Final = (IMAGE_COMPLETED, IMAGE_FAILED)


def asyncapi() -> dict[str, Any]:
    """The whole document, as seen from Darkroom: it receives what is asked and sends what became of it."""
    schemas = components()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Darkroom",
            "version": "1",
            "description": "Drop a prompt into a bucket, or send it as an event; get a picture and a completion event.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": STRUCTURED,
        "channels": {
            "events": _channel(
                "/",
                "CloudEvents over HTTP, such as a Knative Trigger delivers; at intake also in a batch",
                ASKING + ASKING_BINARY,
            ),
            "drop": _channel(
                "/drop",
                "The door for whoever does not speak CloudEvents: plain prompts, and notifications of any dialect",
                ("prompt", "notification", *ASKING, *ASKING_BINARY),
            ),
            "sink": _channel(None, "The URL in K_SINK, such as a Knative Broker", ASKING + OUTCOMES),
            "reply": _channel(None, "The HTTP reply, where K_SINK is not set", OUTCOMES),
        },
        "operations": {
            "takeEvent": _operation("receive", "events", "Draw what is asked, or publish it (intake)", reply=True),
            "takeDrop": _operation("receive", "drop", "Draw what is asked, or publish it (intake)", reply=True),
            "publish": _operation("send", "sink", "Intake: each dropped file, and each prompt in it", ASKING),
            "tell": _operation("send", "sink", "How each request ended, at least once", OUTCOMES),
        },
        "components": {"messages": _messages(schemas), "schemas": schemas},
    }


def _channel(address: str | None, description: str, messages: tuple[str, ...]) -> dict[str, Any]:
    named = {name: {"$ref": f"#/components/messages/{name}"} for name in messages}
    return {"address": address, "description": description, "messages": named}


def _operation(
    action: str, channel: str, summary: str, messages: tuple[str, ...] = (), *, reply: bool = False
) -> dict[str, Any]:
    operation: dict[str, Any] = {"action": action, "channel": {"$ref": f"#/channels/{channel}"}, "summary": summary}
    operation["bindings"] = POST
    if messages:
        operation["messages"] = [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in messages]
    if reply:
        operation["reply"] = {"channel": {"$ref": "#/channels/reply"}}
    return operation


def _messages(schemas: dict[str, Any]) -> dict[str, Any]:
    messages: dict[str, Any] = {
        "prompt": {
            "name": "prompt",
            "summary": "A prompt as plain JSON; an Idempotency-Key header makes a second one the same request.",
            "contentType": "application/json",
            "headers": {
                "type": "object",
                "properties": {"Idempotency-Key": {"type": "string", "description": "becomes the request's id"}},
            },
            "payload": {"$ref": "#/components/schemas/Prompt"},
            "examples": [{"headers": {"Idempotency-Key": "greeting-1"}, "payload": PROMPT}],
        },
        "notification": {
            "name": "notification",
            "summary": "What an S3 server says when an object was created, in its own dialect.",
            "contentType": "application/json",
            "payload": {"type": "object"},
        },
    }
    shown = examples()
    for kind in EVENTS:
        event, about = shown[kind.TYPE], {"name": kind.TYPE, "summary": kind.__doc__}
        messages[kind.TYPE] = about | {
            "contentType": STRUCTURED,
            "payload": {"$ref": f"#/components/schemas/{kind.__name__}"},
            "examples": [{"payload": event}],
        }
        # What Darkroom itself sends is always structured.
        if kind.TYPE in ASKING:
            messages[kind.TYPE + BINARY] = about | {
                "contentType": "application/json",
                "headers": _headers(schemas[kind.__name__]),
                "payload": schemas[kind.__name__]["properties"]["data"],
                "examples": [{"headers": _in_headers(event, str), "payload": event["data"]}],
            }
    return messages


def _headers(event: dict[str, Any]) -> dict[str, Any]:
    """The schema of the headers that carry an event's attributes in binary mode (HTTP binding, section 3.1)."""
    required = [_header(name) for name in event["required"] if name != "data"]
    return {"type": "object", "properties": _in_headers(event["properties"], _text), "required": required}


def _in_headers(attributes: dict[str, Any], written: Callable[[Any], object]) -> dict[str, Any]:
    return {_header(name): written(value) for name, value in attributes.items() if name != "data"}


def _text(schema: dict[str, Any]) -> dict[str, Any]:
    digits = {"type": "string", "pattern": "^[0-9]+$", "description": schema["description"]}
    return digits if schema["type"] == "integer" else schema


def _header(attribute: str) -> str:
    return "content-type" if attribute == "datacontenttype" else f"ce-{attribute}"
