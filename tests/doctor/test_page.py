"""docs/doctor.md says of every check what it looks at and what mends it, in the words of the code."""

from __future__ import annotations

import ast
from typing import Final

from function.doctor.command import doctor
from function.doctor.examinations import ALL
from tests.darkroom import REPOSITORY
from tests.doctor.table import PAGE, with_table

TESTS: Final = REPOSITORY / "tests" / "doctor"


def test_the_table_is_that_of_the_code() -> None:
    text = PAGE.read_text("utf-8")
    assert text == with_table(text), "run: python -m tests.doctor.table"
    for examination in ALL:
        for check in examination.checks:
            changed = text.replace(f"| `{check.name}` |", "| `other` |")
            assert changed != text, check.name
            assert with_table(changed) == text


def test_every_option_is_on_the_page() -> None:
    text = PAGE.read_text("utf-8")
    options = [name for parameter in doctor.params for name in parameter.opts if name.startswith("--")]
    assert len(options) > 8
    assert [name for name in options if f"`{name}" not in text] == []


def test_every_check_has_been_seen_to_find_something() -> None:
    named = {
        node.value
        for path in TESTS.glob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    checks = {check.name for examination in ALL for check in examination.checks}
    assert checks - named == set()
