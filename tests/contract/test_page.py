"""docs/events.md shows the contract as the code has it."""

from __future__ import annotations

from typing import get_args

import pytest

from events.contract.data import Code
from function.errors import Failed
from tests.contract.page import MADE, PAGE, as_made


def test_the_page_is_as_made() -> None:
    text = PAGE.read_text("utf-8")
    assert text == as_made(text), "run: make docs"
    assert [name for name in MADE if f"<!-- made: {name} -->\n" not in text] == []


@pytest.mark.parametrize("shown", ["`causationid`", "`images[].sha256`", "`out_of_memory`", '"index": 0'])
def test_a_change_is_noticed(shown: str) -> None:
    text = PAGE.read_text("utf-8")
    changed = text.replace(shown, "other")
    assert changed != text
    assert as_made(changed) != changed


def test_each_code_is_that_of_one_failure() -> None:
    assert sorted([*(kind.code for kind in Failed.__subclasses__()), "lacking"]) == sorted(get_args(Code))
