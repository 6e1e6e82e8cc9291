"""What the APIs' schemas do not say: rules over a whole rendering, each a function whose docstring is the rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from tests.manifests.rendering import Rendering
from tests.manifests.rules import eventing, network, pods, references, serving

Rule = Callable[[Rendering], Iterator[str]]

RULES: Final[tuple[Rule, ...]] = (
    *serving.RULES,
    *eventing.RULES,
    *pods.RULES,
    *references.RULES,
    *network.RULES,
)


def broken(rendering: Rendering) -> list[str]:
    """A sentence for each place where a rule is broken."""
    return [f"{sentence}  [{rule.__name__}]" for rule in RULES for sentence in rule(rendering)]
