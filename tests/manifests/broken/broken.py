"""What a faulty rendering is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tests.manifests.rendering import Rendering, rendered
from tests.manifests.rules import Rule

# Where a Knative Service, a Deployment or a Job has its pods and their first container, as JSON pointers.
POD: Final = "/spec/template/spec"
BOX: Final = f"{POD}/containers/0"
NOTES: Final = "/spec/template/metadata/annotations"


@dataclass(frozen=True)
class Broken:
    """A fault: where it is put, as a value for each JSON pointer, what must find it, and a word of what is said."""

    fault: str
    # None for the schemas.
    rule: Rule | None
    target: str
    at: Mapping[str, Any]
    says: str
    folder: str = "base"

    @property
    def rendering(self) -> Rendering:
        return rendered(self.folder).changed(self.target, self.at)
