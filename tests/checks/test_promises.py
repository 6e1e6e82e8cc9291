"""Every promise names the test that keeps it, and that test is there."""

from __future__ import annotations

import ast
import re

from tests.checks.tree import ROOT

KEPT_BY = re.compile(r"\| `(?P<path>tests/[\w/]+\.py)::(?P<name>test_\w+)` \|$")


def test_every_promise_is_kept_by_a_test_that_exists() -> None:
    rows = [line for line in (ROOT / "docs/promises.md").read_text("utf-8").splitlines() if line.startswith("| ")][2:]
    assert len(rows) > 30
    for row in rows:
        kept = KEPT_BY.search(row)
        assert kept, row
        tree = ast.parse((ROOT / kept["path"]).read_text("utf-8"))
        assert kept["name"] in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, row
