"""docs/func.md is true: what it has `func invoke` send, Darkroom answers as the page says."""

from __future__ import annotations

import re
import shlex
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from events import IMAGE_COMPLETED
from function.demo.s3server import S3Server
from tests.backstops.house import House
from tests.darkroom import REPOSITORY, outcome_of
from tests.docs.test_readme import blocks

PAGE: Final = (REPOSITORY / "docs" / "func.md").read_text("utf-8")


def invocations() -> list[dict[str, str]]:
    """The options of each `func invoke` on the page."""
    lines = [line for block in blocks(PAGE) for line in block.text.replace("\\\n", " ").splitlines()]
    found = []
    for line in lines:
        if line.startswith("func invoke "):
            words = iter(shlex.split(line)[2:])
            found.append({word.removeprefix("--"): next(words) for word in words})
    return found


def test_each_invocation_is_drawn(seaweedfs: S3Server, tmp_path: Path) -> None:
    """As func does it with `--format cloudevent`: a CloudEvent in binary mode."""
    each = invocations()
    assert each
    with ExitStack() as running:
        render = House.on(seaweedfs, tmp_path, running).drawing()
        for options in each:
            assert options.keys() == {"target", "format", "type", "source", "id", "data"}
            assert re.fullmatch(r"http://[\w.:/]+", options["target"])
            assert options["format"] == "cloudevent"
            headers = {"ce-specversion": "1.0", "ce-time": "2026-11-24T09:00:00Z", "content-type": "application/json"}
            headers |= {f"ce-{name}": options[name] for name in ("type", "source", "id")}
            assert outcome_of(render.post("/", options["data"].encode(), headers))["type"] == IMAGE_COMPLETED
