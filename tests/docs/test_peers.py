"""What docs/fields.md says of other servers' fields, as far as it can be looked up here."""

from __future__ import annotations

import inspect
import re
from collections import Counter
from typing import Final

import diffusers
import pytest

from events.prompt import Prompt, faults_of
from events.prompt.elsewhere import ELSEWHERE
from function.config import variables
from tests.docs.peers import PEERS, Peer
from tests.leaves import leaves

_NAMES: Final = [peer.name for peer in PEERS]
# Some names others have for something else: those are fields here, and do what they do here.
TAKEN: Final = frozenset({*Prompt.model_fields, *leaves()})


@pytest.mark.parametrize("peer", PEERS, ids=_NAMES)
def test_what_stands_for_a_field_exists(peer: Peer) -> None:
    assert {name for names in peer.here.values() for name in names} <= set(leaves())
    assert set(peer.settings.values()) <= set(variables().values())


@pytest.mark.parametrize(
    ("name", "ours"),
    sorted({(name, ours) for peer in PEERS for name, ours in peer.ours.items() if name not in TAKEN}),
)
def test_who_writes_a_servers_name_for_a_field_is_told_ours(name: str, ours: tuple[str, ...]) -> None:
    group, _, inner = name.rpartition(".")
    received = {group: [{"name": "ink", inner: 1}]} if group else {name: 1}
    (fault,) = faults_of({"prompt": "a star"} | received)
    said = re.fullmatch(r"there is no such field; did you mean (\S+)\?", fault.message)
    assert said, fault
    assert any(f"{leaf}.".startswith(f"{said[1]}.") for leaf in ours), fault


def test_what_is_told_exists() -> None:
    assert not TAKEN & set(ELSEWHERE)
    assert [name for name in ELSEWHERE.values() if not any(f"{one}.".startswith(f"{name}.") for one in TAKEN)] == []


@pytest.mark.parametrize("peer", PEERS, ids=_NAMES)
def test_no_field_is_counted_twice(peer: Peer) -> None:
    assert [name for name, times in Counter(peer.fields).items() if times > 1] == []


def test_the_fields_of_diffusers_are_those_of_the_one_that_draws() -> None:
    kinds = [f"StableDiffusionXL{net}{way}Pipeline" for net in ("", "ControlNet") for way in ("", "Img2Img", "Inpaint")]
    taken = {name for kind in kinds for name in inspect.signature(getattr(diffusers, kind).__call__).parameters}
    (peer,) = (peer for peer in PEERS if peer.name == "diffusers")
    assert set(peer.fields) == taken - {"self", "kwargs"}
    assert diffusers.__version__ in peer.source
