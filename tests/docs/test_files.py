"""docs/files.md is true: its prompt is one, and its commands say of a file what the page says that they do."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from events.prompt import Output, faults_of
from tests.darkroom import REPOSITORY
from tests.docs.test_readme import RUN, blocks, commands
from tests.finish.pictures import finished


def test_its_blocks_hold(tmp_path: Path) -> None:
    made = finished(Output(format="png"), Output(format="webp"))
    for file in made.files:
        (tmp_path / f"star.{file.suffix}").write_bytes(file.body)
    environment, said = dict(os.environ) | commands(tmp_path), {}
    for block in blocks((REPOSITORY / "docs" / "files.md").read_text("utf-8")):
        if block.kind == "json":
            assert faults_of(json.loads(block.text)) == ()
            continue
        run = subprocess.run(
            [*RUN[block.kind], block.text], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        )
        said[block.kind] = run.stdout
    *text, as_json = said["sh"].splitlines()
    assert "  prompt   a red star" in text
    assert json.loads(as_json)["record"]["seed"] == 8
    assert said["python"].strip() == made.pixels_sha256
