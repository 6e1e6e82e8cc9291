"""What docs/fields.md says of other servers' fields, as far as it can be looked up here."""

from __future__ import annotations

import inspect
from collections import Counter
from typing import Final

import diffusers
import pytest

from function.config import variables
from tests.docs.peers import PEERS, Peer
from tests.leaves import leaves

_NAMES: Final = [peer.name for peer in PEERS]


@pytest.mark.parametrize("peer", PEERS, ids=_NAMES)
def test_what_stands_for_a_field_exists(peer: Peer) -> None:
    assert {name for names in peer.here.values() for name in names} <= set(leaves())
    assert set(peer.settings.values()) <= set(variables().values())


@pytest.mark.parametrize("peer", PEERS, ids=_NAMES)
def test_no_field_is_counted_twice(peer: Peer) -> None:
    assert [name for name, times in Counter(peer.fields).items() if times > 1] == []


def test_the_fields_of_diffusers_are_those_of_the_one_that_draws() -> None:
    kinds = [f"StableDiffusionXL{net}{way}Pipeline" for net in ("", "ControlNet") for way in ("", "Img2Img", "Inpaint")]
    taken = {name for kind in kinds for name in inspect.signature(getattr(diffusers, kind).__call__).parameters}
    (peer,) = (peer for peer in PEERS if peer.name == "diffusers")
    assert set(peer.fields) == taken - {"self", "kwargs"}
    assert diffusers.__version__ in peer.source
