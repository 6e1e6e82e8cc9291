"""docs/provenance.md: its commands make a certificate that signs, and its answer is what comes back."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from function.finish.credentials import Signer
from function.finish.xmp import SourceType, packet
from tests.absent import absent
from tests.checks.tree import ROOT
from tests.finish.marked import encoded, noise

PAGE = (ROOT / "docs/provenance.md").read_text("utf-8")


def test_the_commands_run_as_they_are_written(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        absent("openssl is not installed")
    make, verify = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    (answer,) = re.findall(r"^```text\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    shell(make, tmp_path)
    signer = Signer.of_files(tmp_path / "chain.pem", tmp_path / "key.pem")
    body = encoded("png", noise(), packet(SourceType.GENERATED))
    (tmp_path / "picture.png").write_bytes(signer.sign(body, "image/png", SourceType.GENERATED))
    pattern = re.escape(answer).replace("…", "[^\n]+")
    assert re.fullmatch(pattern, shell(verify, tmp_path))


def shell(text: str, folder: Path) -> str:
    """What a block prints in this folder, with our command on the path."""
    program = folder / "darkroom"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m function.cli "$@"\n')
    program.chmod(0o755)
    path = os.pathsep.join([str(folder), os.environ["PATH"]])
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    run = subprocess.run(
        ["sh", "-eu", "-c", text],
        cwd=folder,
        env={**os.environ, "PATH": path, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout
