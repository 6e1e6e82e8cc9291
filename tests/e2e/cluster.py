"""A cluster as kubectl reaches it: every call has an end, and its failure says what kubectl said."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

T = TypeVar("T")

Manifest = Mapping[str, Any]

# Seconds between two looks at something: each is a process, and the cluster has better things to do.
PAUSE: Final = 1.0
LOG_LINES: Final = 40


class KubectlFailed(AssertionError):
    """What kubectl was asked, and how it refused."""


def until(attempt: Callable[[], T | None], what: str, seconds: float, pause: float = PAUSE) -> T:
    """The first result of `attempt` that is not None and not False; fails the test with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        if result := attempt():
            return result
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(pause)


@dataclass(frozen=True)
class Cluster:
    """One namespace of the cluster that KUBECONFIG names."""

    namespace: str

    def run(self, *arguments: str, stdin: str = "", seconds: float = 120) -> subprocess.CompletedProcess[str]:
        """A kubectl command to its end, whatever that is."""
        return subprocess.run(
            ["kubectl", "--namespace", self.namespace, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )

    def __call__(self, *arguments: str, stdin: str = "", seconds: float = 120) -> str:
        """What kubectl prints; `KubectlFailed` if it fails."""
        done = self.run(*arguments, stdin=stdin, seconds=seconds)
        if done.returncode:
            raise KubectlFailed(f"kubectl {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def read(self, kind: str, name: str) -> dict[str, Any]:
        """One object."""
        found: dict[str, Any] = json.loads(self("get", kind, name, "--output", "json"))
        return found

    def every(self, kind: str, selector: str = "") -> list[dict[str, Any]]:
        """All objects of a kind with these labels."""
        chosen = ["--selector", selector] if selector else []
        found: list[dict[str, Any]] = json.loads(self("get", kind, *chosen, "--output", "json"))["items"]
        return found

    def apply(self, *manifests: Manifest) -> None:
        """Have these objects in the cluster as they are written here."""
        listed = {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
        self("apply", "--filename", "-", stdin=json.dumps(listed))

    def wait(self, condition: str, *objects: str, seconds: float) -> None:
        """Until the condition holds of each of the objects."""
        self("wait", f"--for={condition}", *objects, f"--timeout={seconds:.0f}s", seconds=seconds + 60)

    def finish(self, job: str, seconds: float) -> None:
        """Until a Job is done; fails with its log as soon as it has failed."""

        def ended() -> str | None:
            conditions = self.read("job", job).get("status", {}).get("conditions", ())
            return next((each["type"] for each in conditions if each["status"] == "True"), None)

        if until(ended, f"job {job} ends", seconds) in ("Failed", "FailureTarget"):
            log = self.run("logs", f"job/{job}", "--all-containers", f"--tail={LOG_LINES}")
            raise AssertionError(f"job {job} failed:\n{log.stdout}{log.stderr}")

    def running(self, selector: str) -> list[dict[str, Any]]:
        """The pods with these labels that nobody has asked to end."""
        return [pod for pod in self.every("pods", selector) if "deletionTimestamp" not in pod["metadata"]]

    def has(self, resource: str) -> bool:
        """Whether the cluster knows a kind, written as `resource.group`."""
        return not self.run("get", "customresourcedefinition", resource).returncode

    def portrait(self) -> str:
        """What somebody would look at first after a failure: pods, warnings, and the end of each log."""
        looks = [
            ("get", "pods,ksvc,broker,trigger,sinkbinding", "--output", "wide"),
            ("get", "events", "--field-selector", "type!=Normal", "--sort-by", ".lastTimestamp"),
        ]
        seen = []
        for look in looks:
            done = self.run(*look)
            seen.append(f"$ kubectl {' '.join(look)}\n{done.stdout}{done.stderr}")
        for pod in self.run("get", "pods", "--output", "name").stdout.split():
            done = self.run("logs", pod, "--all-containers", "--prefix", f"--tail={LOG_LINES}")
            ours = [line for line in done.stdout.splitlines() if "/queue-proxy] " not in line]
            seen.append("\n".join([f"$ kubectl logs {pod}", *ours, done.stderr]))
        return "\n".join(seen)


def ready(manifest: Manifest) -> bool:
    """Whether an object says of itself that it is ready."""
    conditions = manifest.get("status", {}).get("conditions", ())
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
