"""Knative's ConfigMaps, each value read as Knative itself reads it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final, TypeVar

from function.doctor.cluster import SERVING, Absent, Cluster, patching
from function.doctor.finding import Check, Finding

T = TypeVar("T")

_SWITCHES: Final = frozenset({"enabled", "allowed", "disabled"})
_TRUE: Final = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE: Final = frozenset({"0", "f", "F", "FALSE", "false", "False"})


class Odd(Exception):
    """A value that Knative cannot read, with the command that puts the default there."""

    def __init__(self, sentence: str, mend: str) -> None:
        super().__init__(sentence)
        self.mend = mend


class ConfigMaps:
    """Of Serving and Eventing; every method raises `Unseen` where they cannot be read."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def data(self, name: str, namespace: str = SERVING) -> Mapping[str, str]:
        """All that it holds."""
        data = self._cluster.data(name, namespace)
        if data is None:
            raise Absent(f"there is no ConfigMap {name} in namespace {namespace}: is Knative installed there?")
        return data

    def value(self, name: str, key: str, default: str, read: Callable[[str], T], namespace: str = SERVING) -> T:
        """What it says, else the default; `Odd` if `read` cannot make sense of it."""
        said = self.data(name, namespace).get(key, default)
        try:
            return read(said)
        except ValueError:
            mend = patching(namespace, f"configmaps/{name}", {"data": {key: default}})
            raise Odd(f"{name} has {said[:40]!r} for {key}, which Knative cannot read", mend) from None


def legible(check: Check, look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """What is found; a value that Knative cannot read is found, too."""
    try:
        yield from look()
    except Odd as odd:
        yield check.wrong(str(odd), odd.mend)


def flag(data: Mapping[str, str], key: str, default: str) -> str:
    """As Serving reads a flag: what is none of its words, such as `true`, is as if it were not there."""
    said = data.get(key, default).lower()
    return said if said in _SWITCHES else default


def switch(said: str) -> str:
    """As Eventing reads a flag."""
    if said.lower() not in _SWITCHES:
        raise ValueError(said)
    return said.lower()


def truth(said: str) -> bool:
    """As Go reads one."""
    if said not in _TRUE | _FALSE:
        raise ValueError(said)
    return said in _TRUE


def whole(said: str) -> int:
    """As Go reads a number."""
    if not re.fullmatch(r"[+-]?[0-9]+", said):
        raise ValueError(said)
    return int(said)
