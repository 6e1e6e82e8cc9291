"""Writes recorded.json: what a cluster with knative/base in it answers the doctor.

`python -m tests.doctor.record NAMESPACE`, with KUBECONFIG and kubectl; the namespace is called darkroom in the file. So
that no GPU was needed, base was applied there with a sample image and without volume, from zero pods.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from function.doctor.cluster import EVENTING, KINDS, NAMESPACE, SERVING

RECORDED: Final = Path(__file__).parent / "recorded.json"
SETTINGS: Final = {
    SERVING: ("config-autoscaler", "config-defaults", "config-deployment", "config-features"),
    EVENTING: ("config-features",),
}


def paths(namespace: str) -> Iterator[str]:
    """Everything that the doctor reads."""
    for group, version, plural in KINDS.values():
        yield f"/apis/{group}/{version}/namespaces/{namespace}/{plural}"
    yield f"/api/v1/namespaces/{namespace}/configmaps/darkroom"
    for place, names in SETTINGS.items():
        yield f"/api/v1/namespaces/{place}"
        yield from (f"/api/v1/namespaces/{place}/configmaps/{name}" for name in names)
    yield f"/api/v1/namespaces/{namespace}/serviceaccounts"
    yield "/api/v1/nodes"


def plain(answer: Any) -> Any:
    """Without what nobody reads and much of it: who has written which field, and Knative's examples."""
    if isinstance(answer, dict):
        noise = ("managedFields", "_example", "kubectl.kubernetes.io/last-applied-configuration", "images")
        return {key: plain(value) for key, value in answer.items() if key not in noise}
    return [plain(one) for one in answer] if isinstance(answer, list) else answer


def main(namespace: str) -> None:
    answers = {}
    for path in paths(namespace):
        asked = subprocess.run(["kubectl", "get", "--raw", path], capture_output=True, text=True, check=False)
        # What is not there is not recorded: the Kafka kinds.
        if asked.returncode == 0:
            answers[path] = plain(json.loads(asked.stdout))
    text = json.dumps(answers, indent=1, sort_keys=True)
    RECORDED.write_text(text.replace(namespace, NAMESPACE) + "\n", "utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
