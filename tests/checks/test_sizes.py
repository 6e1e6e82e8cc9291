"""How long a module may be: what does not fit holds a room that wants a door of its own."""

from __future__ import annotations

from statistics import median

from tests.checks.tree import line_counts, modules

LONGEST, MEDIAN, LONGEST_TEST = 250, 100, 500


def test_no_module_is_too_long() -> None:
    lines = line_counts(modules("function", "events"))
    assert {str(path): count for path, count in lines.items() if count > LONGEST} == {}


def test_most_modules_are_short() -> None:
    lines = line_counts([*modules("function"), *modules("events")])
    assert median(lines.values()) <= MEDIAN, sorted(lines.items(), key=lambda item: item[1])


def test_no_test_is_too_long() -> None:
    lines = line_counts(modules("tests"))
    assert {str(path): count for path, count in lines.items() if count > LONGEST_TEST} == {}
