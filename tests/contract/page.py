"""What docs/events.md shows of the contract, made from the code; `python -m tests.contract.page` writes it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final, get_args

from events import DATASCHEMA, SCHEMAS
from events.contract.asyncapi import asyncapi
from events.contract.data import Code
from events.contract.examples import examples
from events.contract.schemas import json_schemas
from events.outcome import UNRECORDED
from events.prompt import Prompt
from function.errors import Failed, Lacking
from tests.docs.tables import Row, markdown

PAGE: Final = Path(__file__).parents[2] / "docs" / "events.md"


def attributes() -> str:
    """Every attribute of each event, and where it is always there."""
    schemas = asyncapi()["components"]["schemas"]
    outcome, request = schemas["ImageCompleted"], schemas["ImageRequested"]
    rows: list[Row] = [("attribute", "on outcomes", "what it is")]
    for name, attribute in (outcome["properties"] | request["properties"]).items():
        if name == "data":
            continue
        always = "always" if name in outcome["required"] else "if the request had it"
        shown = outcome["properties"].get(name, attribute)["description"]
        rows.append((f"`{name}`", always if name in outcome["properties"] else "no", shown))
    return markdown(rows)


def codes() -> str:
    """Every code, with the sentence that stands for it."""
    kinds = {kind.code: kind.message for kind in Failed.__subclasses__()} | {"lacking": Lacking.message}
    rows: list[Row] = [("code", "what is wrong", "recorded")]
    rows += [(f"`{code}`", kinds[code], "no" if code in UNRECORDED else "yes") for code in get_args(Code)]
    return markdown(rows)


def data(kind: str) -> str:
    """The fields of an event's data and an example of the event."""
    schema = json_schemas()[f"{_name(kind)}.json"]
    rows: list[Row] = [("field of `data`", "there", "what it is"), *_rows(schema, schema["$defs"], "")]
    example = json.dumps(examples()[kind], indent=2, ensure_ascii=False)
    return f"{markdown(rows)}\n```json\n{example}\n```\n"


def _rows(schema: Mapping[str, Any], parts: Mapping[str, Any], within: str) -> Iterator[Row]:
    # The README has a prompt's own fields.
    own = Prompt.model_fields if Prompt.model_fields.keys() <= schema["properties"].keys() else {}
    for name, field in schema["properties"].items():
        if name in own:
            continue
        path = f"{within}{name}"
        always = "always" if name in schema["required"] else "not always"
        yield f"`{path}`", always, field["description"]
        several = "items" in field
        if part := field.get("items", field).get("$ref"):
            yield from _rows(parts[part.rpartition("/")[2]], parts, f"{path}[]." if several else f"{path}.")


def _name(kind: str) -> str:
    return DATASCHEMA[kind].removeprefix(SCHEMAS).removesuffix(".json")


MADE: Final[Mapping[str, Callable[[], str]]] = {
    "attributes": attributes,
    "codes": codes,
    **{_name(kind): partial(data, kind) for kind in DATASCHEMA},
}


def as_made(text: str) -> str:
    """The text with all between its markers as the code has it now; KeyError for a marker of nothing."""
    marked = re.compile(r"(<!-- made: ([\w.]+) -->\n).*?(<!-- end -->)", re.DOTALL)
    return marked.sub(lambda found: found[1] + MADE[found[2]]() + found[3], text)


if __name__ == "__main__":
    PAGE.write_text(as_made(PAGE.read_text("utf-8")), "utf-8")
