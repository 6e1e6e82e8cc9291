"""Whether an event is what the published schemas promise."""

from __future__ import annotations

import json
from datetime import datetime
from functools import cache
from typing import Any, Final

from jsonschema import Draft202012Validator, FormatChecker

from events import DATASCHEMA
from events.contract import PUBLISHED, published
from events.contract.event import EVENTS
from events.envelope import encode_json

LIMIT: Final = 64 << 10
FILES: Final = {file: name for name, file in PUBLISHED.items()}
FORMATS: Final = FormatChecker(())


@FORMATS.checks("date-time", ValueError)
def _is_time(text: object) -> bool:
    return not isinstance(text, str) or datetime.fromisoformat(text).tzinfo is not None


def validated(event: dict[str, Any]) -> dict[str, Any]:
    """The event; fails the test if the contract does not promise exactly what it says."""
    kind = event.get("type")
    assert kind in DATASCHEMA, f"no event of ours: {kind!r}"
    assert event.get("dataschema") == DATASCHEMA[kind], f"{kind} does not name its schema"
    faults = [*_envelope(kind).iter_errors(event), *_data(kind).iter_errors(event["data"])]
    assert [f"{fault.json_path}: {fault.message}" for fault in faults] == [], f"{kind} breaks its contract"
    assert len(encode_json(event)) <= LIMIT, f"{kind} is larger than 64 KiB"
    return event


def schema_of(kind: str) -> dict[str, Any]:
    """The published schema of the data of this type."""
    name = FILES[DATASCHEMA[kind].rpartition("/")[2]]
    schema: dict[str, Any] = json.loads(published(name))
    return schema


@cache
def _envelope(kind: str) -> Draft202012Validator:
    (name,) = (event.__name__ for event in EVENTS if kind == event.TYPE)
    document = json.loads(published("asyncapi"))
    return Draft202012Validator({**document, "$ref": f"#/components/schemas/{name}"}, format_checker=FORMATS)


@cache
def _data(kind: str) -> Draft202012Validator:
    return Draft202012Validator(_closed(schema_of(kind)), format_checker=FORMATS)


def _closed(schema: Any) -> Any:
    """The schema without the room that it leaves for later versions: what we emit now is in it now."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema if each != {}]
    if not isinstance(schema, dict):
        return schema
    room = {"additionalProperties": False} if "properties" in schema else {}
    return room | {name: _closed(value) for name, value in schema.items()}
