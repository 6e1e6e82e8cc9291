"""Every installation against the rules; and the rules against what they are there to find."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.manifests.broken import BROKEN, REFUSED, Broken
from tests.manifests.rendering import installations, rendered
from tests.manifests.rules import RULES, Rule, broken
from tests.manifests.rules.pods import quantity
from tests.manifests.rules.serving import cluster_flags, off, pod

CAUGHT = [case for case in BROKEN if case.rule is not None]


@pytest.mark.parametrize("folder", installations())
def test_no_rule_is_broken(folder: str) -> None:
    assert broken(rendered(folder)) == []


@pytest.mark.parametrize("case", CAUGHT, ids=lambda case: case.fault)
def test_a_broken_rule_is_found(case: Broken) -> None:
    assert case.rule is not None
    said = list(case.rule(case.rendering))
    assert any(case.says in sentence for sentence in said), said


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_each_rule_says_what_it_is_and_has_something_to_find(rule: Rule) -> None:
    assert rule.__doc__
    assert rule in {case.rule for case in BROKEN}


def test_quantities_are_read_as_kubernetes_writes_them() -> None:
    known: dict[str, str | int] = {
        "500m": "0.5",
        "24Gi": 24 * 1024**3,
        "1e3": 1000,
        "2M": 2_000_000,
        "1.5k": 1500,
        "250u": "0.00025",
        "3": 3,
    }
    assert {text: quantity(text) for text in known} == {text: Decimal(value) for text, value in known.items()}
    for text in ("lots", "1Q", "Gi", "1 Gi", ""):
        with pytest.raises(ValueError, match="is no quantity"):
            quantity(text)


def test_the_six_that_a_live_cluster_is_asked_about() -> None:
    assert len(REFUSED) == 6


def test_no_flag_is_asked_for_that_nobody_needs() -> None:
    used = {
        flag
        for folder in installations()
        for service in rendered(folder).services()
        for _, flag in off(pod(service), flags={})
    }
    assert used == {flag for flag, value in cluster_flags().items() if value == "enabled"}
