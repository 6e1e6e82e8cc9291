"""The README's tables, made from the code that they describe; `python -m tests.docs.tables` writes them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, get_args

from events.prompt import Prompt
from function.config import Settings, variables
from function.errors import DarkroomError, Failed, PromptMismatch, Retry

README: Final = Path(__file__).parents[2] / "README.md"
NOTHING: Final = "-"

Row = tuple[str, ...]


def prompt_table() -> Iterator[Row]:
    """Every field of a prompt."""
    yield "field", "value", "default", "what it does"
    for name, schema in Prompt.model_json_schema()["properties"].items():
        default = _default(schema["default"]) if "default" in schema else "required"
        kind = next((kind for kind in schema.get("anyOf", ()) if kind["type"] != "null"), schema)
        yield f"`{name}`", _values(kind), default, schema["description"]


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


TABLES: Final[Mapping[str, Callable[[], Iterable[Row]]]] = {
    "prompt": prompt_table,
    "settings": settings_table,
    "answers": answer_table,
}


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
    if value is None or value in ("", (), {}):
        return NOTHING
    return f"`{value:g}`" if isinstance(value, float) and value < 1e6 else f"`{value}`"


def _values(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(f"`{name}`" for name in schema["enum"])
    if schema["type"] == "string":
        return f"text, at most {schema['maxLength']} characters"
    low = schema["minimum"]
    high = schema["maximum"] if "maximum" in schema else schema["exclusiveMaximum"] - 1
    if high == 2**64 - 1:
        high = "2^64 - 1"
    kind = f"multiple of {schema['multipleOf']}" if "multipleOf" in schema else schema["type"]
    return f"{kind}, {low} to {high}"


if __name__ == "__main__":
    README.write_text(with_tables(README.read_text("utf-8")), "utf-8")
