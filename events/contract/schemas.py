"""The JSON Schemas (2020-12) of a prompt and of each event's data, under the names that `dataschema` gives them."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from events import DATASCHEMA, SCHEMAS
from events.contract.event import EVENTS
from events.contract.examples import PROMPT, examples
from events.prompt import Prompt

PROMPT_SCHEMA: Final = f"{SCHEMAS}prompt.json"


class _Untitled(GenerateJsonSchema):
    """A field's title would be its name once more."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        del schema
        return False


def json_schemas() -> dict[str, dict[str, Any]]:
    """Each schema by the name of its file."""
    shown = examples()
    schemas = [_schema(PROMPT_SCHEMA, Prompt, PROMPT)]
    schemas += [_schema(DATASCHEMA[kind.TYPE], data, shown[kind.TYPE]["data"]) for kind, data in EVENTS.items()]
    return {schema["$id"].removeprefix(SCHEMAS): schema for schema in schemas}


def _schema(id: str, model: type[BaseModel], example: object) -> dict[str, Any]:
    head = {"$schema": GenerateJsonSchema.schema_dialect, "$id": id}
    schema = model.model_json_schema(mode="serialization", schema_generator=_Untitled)
    name = id.removeprefix(SCHEMAS).removesuffix(".json")
    return head | schema | {"title": name, "examples": [example]}


def components() -> dict[str, Any]:
    """The schemas of the events as a whole and of all that is in them, as parts of an AsyncAPI document."""
    _, schemas = models_json_schema(
        [*((kind, "serialization") for kind in EVENTS), (Prompt, "serialization")],
        ref_template="#/components/schemas/{model}",
        schema_generator=_Untitled,
    )
    parts: dict[str, Any] = schemas["$defs"]
    return parts
