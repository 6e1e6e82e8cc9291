"""The tables of README.md and docs/fields.md, made from what they show; `python -m tests.docs.tables` writes them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, Final, get_args

from events.prompt import Prompt
from function.config import Settings, variables
from function.errors import DarkroomError, Failed, PromptMismatch, Retry
from tests.docs.peers import PEERS
from tests.leaves import leaves

README: Final = Path(__file__).parents[2] / "README.md"
FIELDS: Final = README.parent / "docs" / "fields.md"
NOTHING: Final = "-"

Row = tuple[str, ...]


def prompt_table() -> Iterator[Row]:
    """Every field of a prompt."""
    yield "field", "value", "default", "what it does"
    whole = Prompt.model_json_schema()
    for name, schema in whole["properties"].items():
        default = _default(schema["default"]) if "default" in schema else "required"
        yield f"`{name}`", _values(schema, whole.get("$defs", {})), default, schema["description"]


def settings_table() -> Iterator[Row]:
    """Every setting, in the order of the code."""
    yield "variable", "default", "what it does"
    for name, variable in variables().items():
        field = Settings.model_fields[name]
        choices = [f"`{choice}`" for choice in get_args(field.annotation) if isinstance(choice, str)]
        what = f"{field.description} ({', '.join(choices)})" if choices else str(field.description)
        yield f"`{variable}`", _default(field.get_default(call_default_factory=True)), what


def answer_table() -> Iterator[Row]:
    """Every case of the error tree, and before them what is no error."""
    yield "case", "`POST /`", "`POST /drop`", "should it be sent again?"
    yield "a prompt, drawn now or before", "200, `image.completed`", "202, `image.completed`", "no"
    yield "a notification of an object (`/drop`: of one or many)", "as the prompt in it", "202, they are queued", "no"
    yield (
        "at intake: prompts published, or told as invalid; objects announced",
        "202",
        "202",
        "no",
    )
    yield "nothing to do: test event, unknown type, removal, folder, own output, bucket not listed", "204", "204", "no"
    rows: dict[Row, list[str]] = {}
    for error in _cases(DarkroomError):
        again = "yes, later" if issubclass(error, Retry) else "no"
        rows.setdefault((_answer(error, error.event_status), _answer(error, error.drop_status), again), []).append(
            error.case
        )
    yield from (("; ".join(cases), *answers) for answers, cases in rows.items())


def peers_table() -> Iterator[Row]:
    """How many fields each peer has, and of how many there is something here."""
    yield "server", "what was read", "its fields", "in a prompt", "in a setting", "not here"
    for peer in PEERS:
        counts = (peer.fields, peer.here, peer.settings, [*chain.from_iterable(peer.without.values())])
        yield peer.name, peer.source, *(str(len(fields)) for fields in counts)


def fields_table() -> Iterator[Row]:
    """Every field of a prompt, however deep, and what each peer calls it."""
    yield "field", *(peer.name for peer in PEERS)
    for leaf in leaves():
        theirs = [[name for name, ours in peer.here.items() if leaf in ours] for peer in PEERS]
        yield f"`{leaf}`", *(", ".join(f"`{name}`" for name in names) or NOTHING for names in theirs)


def without_table() -> Iterator[Row]:
    """What of each peer's fields is in no prompt."""
    yield "server", "field", "instead, or why not"
    for peer in PEERS:
        reasons: dict[str, list[str]] = {}
        for name, setting in peer.settings.items():
            reasons.setdefault(f"`{setting}`", []).append(name)
        for why, names in (reasons | dict(peer.without)).items():
            yield peer.name, ", ".join(f"`{name}`" for name in names), why


TABLES: Final[Mapping[str, Callable[[], Iterable[Row]]]] = {
    "prompt": prompt_table,
    "settings": settings_table,
    "answers": answer_table,
    "peers": peers_table,
    "fields": fields_table,
    "without": without_table,
}

PAGES: Final = (README, FIELDS)


def with_tables(text: str) -> str:
    """The text with every table between its markers as the code has it now; KeyError for a marker of no table."""
    marked = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
    return marked.sub(lambda found: found[1] + markdown(TABLES[found[2]]()) + found[3], text)


def markdown(rows: Iterable[Row]) -> str:
    """The rows as a Markdown table, the first as its head."""
    head, *body = ([cell.replace("|", r"\|") for cell in row] for row in rows)
    lines = [head, ["---"] * len(head), *body]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cases(error: type[DarkroomError]) -> Iterator[type[DarkroomError]]:
    """The classes that have a row of their own, in the order of the tree."""
    if "case" in vars(error) and error.case:
        yield error
    for kind in error.__subclasses__():
        yield from _cases(kind)


def _answer(error: type[DarkroomError], status: int) -> str:
    if not issubclass(error, Failed):
        return f"{status}"
    return f"{status}, `image.failed`" + (", not recorded" if error is PromptMismatch else "")


def _default(value: object) -> str:
    if value is None or value in ("", (), {}, []):
        return NOTHING
    if isinstance(value, list | dict):
        return f"`{json.dumps(value)}`"
    return f"`{value:g}`" if isinstance(value, float) and value < 1e6 else f"`{value}`"


def _values(schema: Mapping[str, Any], parts: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        schema = parts[schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        kinds = [kind for kind in schema["anyOf"] if kind.get("type") != "null"]
        return " or ".join(_values(kind, parts) for kind in kinds)
    if "enum" in schema:
        return ", ".join(f"`{name}`" for name in schema["enum"])
    match schema["type"]:
        case "array" if "prefixItems" in schema:
            return f"[{', '.join(_values(item, parts) for item in schema['prefixItems'])}]"
        case "array":
            return f"list of {_amount(schema, 'Items')}: {_values(schema['items'], parts)}"
        case "object":
            return f"object: {', '.join(f'`{name}`' for name in schema['properties'])}"
        case "string":
            return f"text, {_amount(schema, 'Length')} characters" if "maxLength" in schema else "text"
        case "boolean":
            return "`true`, `false`"
    return _number(schema)


def _amount(schema: Mapping[str, Any], what: str) -> str:
    most, least = schema.get(f"max{what}"), schema.get(f"min{what}")
    if least is None:
        return f"at most {most}"
    return f"{most}" if least == most else f"{least} to {most}"


def _number(schema: Mapping[str, Any]) -> str:
    kind = f"multiple of {schema['multipleOf']}" if "multipleOf" in schema else schema["type"]
    low = f"{schema['minimum']}" if "minimum" in schema else f"more than {schema['exclusiveMinimum']}"
    if schema.get("exclusiveMaximum") == 2**64:
        return f"{kind}, {low} to 2^64 - 1"
    if "maximum" in schema:
        return f"{kind}, {low} to {schema['maximum']}"
    return f"{kind}, {low} to less than {schema['exclusiveMaximum']}"


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(with_tables(page.read_text("utf-8")), "utf-8")
