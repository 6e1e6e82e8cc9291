"""Each overlay begins with the Secrets that it needs."""

from __future__ import annotations

import re

import pytest

from tests.manifests.rendering import KNATIVE, overlays, rendered
from tests.manifests.rules.references import read


@pytest.mark.parametrize("folder", ["base", *overlays()])
def test_an_overlay_begins_with_the_secrets_that_it_needs_and_does_not_make(folder: str) -> None:
    text = (KNATIVE / folder / "kustomization.yaml").read_text("utf-8")
    head = text.partition("apiVersion:")[0].replace("\n#", "")
    named = re.findall(r"darkroom-[a-z0-9]+", " ".join(re.findall(r"It reads the Secrets? [^.]*", head)))
    rendering = rendered(folder)
    needed = {name for pod in rendering.pods() for kind, name, _ in read(pod) if kind == "Secret"}
    made = {thing["metadata"]["name"] for thing in rendering.kind("Secret")}
    assert sorted(named) == sorted(needed - made)
