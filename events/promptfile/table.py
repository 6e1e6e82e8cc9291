"""CSV: a prompt per row, whose header names the fields."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from events.envelope import decode_json
from events.prompt import MAX_FAULTS, Fault, Prompt
from events.promptfile.written import InvalidPromptFile, Written

COLUMNS: Final = (*Prompt.model_fields, "runs")
# Their cells are text whatever they look like; all others hold JSON.
TEXT_COLUMNS: Final = frozenset(
    name
    for name, schema in Prompt.model_json_schema()["properties"].items()
    if {kind.get("type") for kind in schema.get("anyOf", [schema])} <= {"string", "null"}
)


@dataclass(frozen=True, slots=True)
class Row:
    """A row, the number and the text of the lines that it is on, and what is wrong with it as CSV."""

    line: int
    text: str
    cells: Sequence[str]
    fault: str = ""


def table_rows(text: str) -> Iterator[Written]:
    """The prompts in rows; empty cells are left out, and rows of them are nothing."""
    rows = _rows(text)
    header = next(rows, None)
    if header is None:
        return
    columns = _columns(header)
    for row in rows:
        fault = row.fault
        if len(row.cells) > len(columns):
            fault = f"has {len(row.cells)} cells, but there are {len(columns)} columns; quote a cell that holds a comma"
        if fault:
            yield Written(f"line {row.line}", row.text, (Fault("", fault),))
        else:
            cells = zip(columns, row.cells, strict=False)
            yield Written(f"line {row.line}", {name: _value(name, cell) for name, cell in cells if cell})


def _columns(header: Row) -> list[str]:
    where = f"line {header.line}"
    if header.fault:
        raise InvalidPromptFile([Fault(where, header.fault)])
    columns = [name.strip() for name in header.cells]
    faults = []
    for number, name in enumerate(columns, 1):
        place = f"{where}, {name[:100] or f'column {number}'}"
        if name not in COLUMNS:
            faults.append(Fault(place, f"there is no such column; there are {', '.join(COLUMNS)}, separated by commas"))
        elif name in columns[: number - 1]:
            faults.append(Fault(place, "there are two columns of this name"))
    if faults:
        raise InvalidPromptFile(faults[:MAX_FAULTS])
    return columns


def _rows(text: str) -> Iterator[Row]:
    lines = list(io.StringIO(text, newline=""))
    # No cell is too long for a file that is not.
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))
    reader, skipped = csv.reader(lines, strict=True), 0
    while True:
        before = skipped + reader.line_num
        cells: list[str] = []
        fault = ""
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            fault = f"is not CSV: {error}"
        after = skipped + reader.line_num
        if fault and after == len(lines):
            # A quote that is never closed costs its own line, and not all that follow.
            after = skipped = before + 1
            reader = csv.reader(lines[skipped:], strict=True)
        if fault or any(cells):
            yield Row(before + 1, "".join(lines[before:after]).rstrip("\r\n"), cells, fault)


def _value(name: str, cell: str) -> object:
    if name in TEXT_COLUMNS:
        return cell
    try:
        return decode_json(cell.encode())
    except ValueError:
        # Left as it is, for the field to say what it takes.
        return cell
