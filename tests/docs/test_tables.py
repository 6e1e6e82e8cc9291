"""The tables of the pages say what the code does."""

from __future__ import annotations

from events.prompt import Prompt
from function.config import variables
from function.errors import DarkroomError, Failed
from tests.docs.tables import PAGES, README, TABLES, answer_table, with_tables


def test_the_tables_are_those_of_the_code() -> None:
    text = "".join(page.read_text("utf-8") for page in PAGES)
    assert text == with_tables(text), "run: make docs"
    assert {name for name in TABLES if f"<!-- table: {name} -->\n" in text} == set(TABLES)


def test_a_changed_table_is_noticed() -> None:
    text = README.read_text("utf-8")
    for name in (*Prompt.model_fields, *variables().values()):
        changed = text.replace(f"| `{name}` |", "| `other` |")
        assert changed != text, name
        assert with_tables(changed) == text


def test_every_error_has_a_row() -> None:
    cases = {case for row in answer_table() for case in row[0].split("; ")}
    # The doors of docs/generate.md have some of their own, and a table there.
    for error in (error for error in errors(DarkroomError) if error.__module__ == Failed.__module__):
        # A failure or a trouble without a case of its own is in its parent's row.
        assert error.case in cases, error.__name__
    assert Failed.case in cases


def errors(parent: type[DarkroomError]) -> list[type[DarkroomError]]:
    """The classes at the leaves of the tree: those that are raised."""
    kinds = parent.__subclasses__()
    return [leaf for kind in kinds for leaf in errors(kind)] if kinds else [parent]
