"""The table of docs/doctor.md, made from the checks; `python -m tests.doctor.table` writes it."""

from __future__ import annotations

import re
from typing import Final

from function.doctor.examinations import ALL
from tests.darkroom import REPOSITORY
from tests.docs.tables import markdown

PAGE: Final = REPOSITORY / "docs" / "doctor.md"


def with_table(text: str) -> str:
    """The page with the table between its marks as the code has it now."""
    rows = [("`--only`", "finding", "what is well", "what mends it")]
    rows += [
        (f"`{examination.name}`", f"`{check.name}`", check.holds, check.mend)
        for examination in ALL
        for check in examination.checks
    ]
    found = re.compile(r"(<!-- table: checks -->\n).*?(<!-- end -->)", re.DOTALL)
    return found.sub(lambda marks: marks[1] + markdown(rows) + marks[2], text)


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text("utf-8")), "utf-8")
