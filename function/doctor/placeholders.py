"""What the overlays name for example, and nobody has: images, hosts, accounts, buckets."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from function.doctor.cluster import KINDS, Absent, Cluster
from function.doctor.finding import Check, Finding, Unseen

OURS = Check(
    "objects-yours",
    "no image, host, account or bucket is left that the overlays name for example",
    "what is yours in `$OVERLAY`, then `kubectl apply`",
)

SETTINGS: Final = "darkroom"
# Names that are reserved for examples, and the buckets of overlays/aws; a test holds them against the overlays.
EXAMPLE: Final = re.compile(
    r"ghcr\.io/example/[\w./-]+"
    r"|[\w.-]*\bexample\.(?:com|net|org)\b"
    r"|\b(?:111122223333|123456789012)\b"
    r"|\bexample-darkroom-[\w-]+"
)


def placeholders(cluster: Cluster) -> Iterator[Finding]:
    """One finding that names all that are left; what cannot be read hides none of the others."""
    left: dict[str, list[str]] = {}
    unseen: Unseen | None = None
    for part in ("ConfigMap", "ServiceAccount", *KINDS):
        try:
            for name, held in _held(cluster, part):
                for example in sorted({found for text in _texts(held) for found in EXAMPLE.findall(text)}):
                    left.setdefault(example, []).append(f"{part} {name}")
        except Absent:
            pass
        except Unseen as error:
            unseen = error
    if left:
        said = "; ".join(f"{example} ({', '.join(where)})" for example, where in left.items())
        yield OURS.wrong(f"these are only examples: {said}", "kubectl apply --kustomize $OVERLAY  # with yours")
    elif unseen:
        raise unseen
    elif cluster.data(SETTINGS, cluster.namespace) is None:
        yield OURS.skipped(f"there is no ConfigMap {SETTINGS} yet")
    else:
        yield OURS.ok("nothing is left that the overlays name for example")


def _held(cluster: Cluster, part: str) -> Iterator[tuple[str, Any]]:
    """Name and content of each object."""
    if part == "ConfigMap":
        yield SETTINGS, cluster.data(SETTINGS, cluster.namespace)
    elif part == "ServiceAccount":
        yield from cluster.accounts().items()
    else:
        yield from ((found["metadata"]["name"], found["spec"]) for found in cluster.every(part))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from (text for one in value.values() for text in _texts(one))
    elif isinstance(value, list):
        yield from (text for one in value for text in _texts(one))
