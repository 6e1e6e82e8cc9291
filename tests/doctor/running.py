"""The command as a process, and what it says."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from function.demo.process import plain_environment
from tests.darkroom import REPOSITORY

# Times as long as usual for every answer: a loaded machine is no fault of a store.
PATIENCE = "20"
PROGRAM = ("-m", "function.cli", "doctor")
# Read once: pytest changes the environment between its steps, also while a thread of a fixture looks at it.
INHERITED = plain_environment()
SECRET = ("AWS_SECRET_ACCESS_KEY", "DARKROOM_DOOR_TOKEN")


@dataclass(frozen=True)
class Report:
    """The findings of one run, with its exit code."""

    code: int
    findings: tuple[Mapping[str, str], ...]
    stdout: str
    stderr: str

    def of(self, check: str) -> list[Mapping[str, str]]:
        """Every finding of one check; fails the test if there is none."""
        found = [finding for finding in self.findings if finding["check"] == check]
        assert found, (check, self.stdout, self.stderr)
        return found

    def states(self, check: str) -> set[str]:
        return {finding["state"] for finding in self.of(check)}

    def sentences(self, state: str = "wrong") -> list[str]:
        return [finding["sentence"] for finding in self.findings if finding["state"] == state]

    def wrong(self, check: str) -> list[str]:
        """What is said to be wrong with it."""
        return [finding["sentence"] for finding in self.of(check) if finding["state"] == "wrong"]

    def mends(self, check: str) -> list[str]:
        """What mends what is wrong with it."""
        return [finding["mend"] for finding in self.of(check) if finding["state"] == "wrong"]


def run(*arguments: str, settings: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """The command to its end, with nothing but `settings` in its environment that could change what it says."""
    done = subprocess.run(
        [sys.executable, *PROGRAM, "--patience", PATIENCE, *arguments],
        cwd=REPOSITORY,
        # Without credentials boto3 would ask the cloud's own address for them. HOME may hold a kubeconfig.
        env=INHERITED | {"AWS_EC2_METADATA_DISABLED": "true", "HOME": "/nonexistent", **settings},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    for name in SECRET:
        assert name not in settings or settings[name] not in done.stdout + done.stderr, f"{name} was shown"
    assert "Traceback" not in done.stderr, done.stderr
    return done


def report(settings: Mapping[str, str], *only: str, options: Sequence[str] = ()) -> Report:
    """What is said of these examinations, or of all."""
    chosen = [word for name in only for word in ("--only", name)]
    done = run("--format", "json", *chosen, *options, settings=settings)
    assert done.returncode in (0, 1), (done.returncode, done.stderr)
    said = json.loads(done.stdout)
    assert (said["wrong"] > 0) is (done.returncode == 1), (done.returncode, done.stdout)
    return Report(done.returncode, tuple(said["findings"]), done.stdout, done.stderr)
