"""Fields that hold objects and lists, in the formats whose own cells and values are flat."""

from __future__ import annotations

import csv
import io
import json

from events.promptfile import read
from events.promptfile.matrix import TEXTS
from events.promptfile.table import TEXT_COLUMNS

NESTED = {
    "outputs": [{"format": "jpeg", "quality": 80}, {"format": "png", "max_side": 64}],
    "destination": {"prefix": "a"},
    "original_size": [64, 128],
}


def table(*rows: list[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def test_a_cell_of_a_table_holds_json() -> None:
    row = ["a red star", *map(json.dumps, NESTED.values())]
    (entry,) = read("a.csv", table(["prompt", *NESTED], row))
    assert entry.faults == ()
    assert entry.received == {"prompt": "a red star", **NESTED}


def test_a_cell_that_is_not_what_its_field_takes_is_told_by_its_place() -> None:
    rows = [["prompt", "outputs"], ["one", "jpeg"], ["other", '[{"format": "gif"}]']]
    faults = [fault for entry in read("a.csv", table(*rows)) for fault in entry.faults]
    assert [fault.where for fault in faults] == ["line 2, outputs", "line 3, outputs.0.format"]


def test_a_matrix_chooses_among_objects() -> None:
    choice = [[{"format": "png"}], [{"format": "webp"}]]
    prompt = {"prompt": "a {animal}", "matrix": {"animal": ["cat"], "outputs": choice}}
    entries = list(read("a.json", json.dumps(prompt).encode()))
    assert [entry.faults for entry in entries] == [(), ()]
    assert [entry.received["outputs"] for entry in entries if isinstance(entry.received, dict)] == choice


def test_texts_are_told_from_what_only_holds_some() -> None:
    assert {"prompt", "negative_prompt", "scheduler"} <= TEXT_COLUMNS
    assert TEXT_COLUMNS.isdisjoint({"seed", *NESTED})
    assert TEXTS.keys() <= TEXT_COLUMNS
