"""What cannot be signed while the server runs: no outcome, no unsigned picture, and nothing drawn in vain."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from function import layout
from function.errors import Unmarked
from function.finish.credentials import Signer
from function.finish.finishing import Finishing
from function.finish.marking import Marker
from function.finish.verification import State, Verifier
from function.finish.xmp import SourceType
from tests.finish.marked import issued, signer
from tests.story.test_story import REQUEST, Room


def test_a_certificate_that_ran_out_draws_nothing_and_leaves_no_attempt() -> None:
    now = [datetime.now(UTC)]
    room = Room(finish=Finishing(Marker(signer=Signer(issued().certificate, issued().key, lambda: now[0]))))
    now[0] += timedelta(days=31)
    for _ in range(2):
        with pytest.raises(Unmarked, match="was valid until"):
            room.outcome()
    assert room.renderer.renders == 0
    assert room.store.read(layout.claim(REQUEST.key, 1)) is None
    now[0] -= timedelta(days=31)
    (image,) = room.outcome()["data"]["images"]
    stored = room.store.read(image["key"])
    assert stored is not None
    assert Verifier()(stored.body).state is State.VALID


class Broken(Marker):
    """Gives what is no picture to the signer."""

    def __call__(self, body: bytes, media_type: str, source: SourceType) -> bytes:
        return super().__call__(body[:20], media_type, source)


def test_a_signature_that_fails_is_no_outcome_and_no_attempt_of_the_three() -> None:
    room = Room(finish=Finishing(Broken(signer=signer())))
    for attempt in range(1, 5):
        with pytest.raises(Unmarked, match="could not be signed"):
            room.outcome()
        assert room.last_claim(attempt)["counts"] is False
    assert not room.recorded()
    assert room.store.read(layout.image(REQUEST.key, 0)) is None
