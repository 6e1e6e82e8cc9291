"""No file names a package registry's host or a path of the machine that it was written on."""

from __future__ import annotations

import re

import pytest

from tests.checks.tree import ROOT, committable

# In two halves, so that this file holds none of them itself.
HOSTS = [
    ("py", "pi.org"),
    ("python", "hosted.org"),
    ("download.py", "torch.org"),
    ("conda.ana", "conda.org"),
    ("proxy.go", "lang.org"),
    ("sum.go", "lang.org"),
    ("go", "proxy.io"),
    ("repo1.ma", "ven.org"),
    ("repo.ma", "ven.apache.org"),
    ("registry.np", "mjs.org"),
    ("registry.ya", "rnpkg.com"),
    ("crat", "es.io"),
    ("deb.deb", "ian.org"),
    ("security.deb", "ian.org"),
]
PATHS = [("/wo", "rk"), ("/fa", "rm"), ("/tm", "p/tv"), ("/tm", "p/bash_jobs")]

FORBIDDEN = re.compile(
    "|".join(
        [re.escape(head + tail) for head, tail in HOSTS]
        + [rf"(?<![\w.}}\])-]){re.escape(head + tail)}(?![\w-])" for head, tail in PATHS]
    )
)


@pytest.mark.parametrize(("head", "tail"), [*HOSTS, *PATHS])
def test_the_rule_sees_each(head: str, tail: str) -> None:
    assert FORBIDDEN.search(f"see {head}{tail}/x")


def test_no_file_names_a_registry_or_this_machine() -> None:
    files = committable()
    assert (ROOT / "pyproject.toml").relative_to(ROOT) in files
    found = []
    for path in files:
        content = (ROOT / path).read_bytes()
        if b"\0" in content:  # weights and pictures
            continue
        for number, line in enumerate(content.decode("utf-8").splitlines(), 1):
            if match := FORBIDDEN.search(line):
                found.append(f"{path}:{number}: {match[0]}")
    assert found == []
