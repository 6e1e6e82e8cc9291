"""With destinations an identity needs more: what the page says grants it, and the doctor finds where it is lacking."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Final

from tests.backstops.house import House
from tests.darkroom import outcome_of
from tests.doctor.running import report
from tests.policies.identity import as_the_page_says, identity, with_buckets
from tests.servers.minio import Minio

PROMPT: Final = {"prompt": "noise", "outputs": [{}, {"format": "webp"}], "destination": {"prefix": "team/art"}}


def test_the_page_grants_what_destinations_need_and_the_doctor_finds_it_lacking(minio: Minio, tmp_path: Path) -> None:
    with ExitStack() as running:
        house = House.on(minio, tmp_path, running)
        settings = {"DARKROOM_DESTINATIONS": "team", "DARKROOM_TAGS": "team=art"}
        wider = with_buckets(as_the_page_says("team/"), images=house.images)
        for granted, policy in ((False, None), (True, wider)):
            held = identity("render", house, policy).environment
            found = report(house.settings | settings | held, "rights", options=("--identity", "render"))
            assert bool(found.sentences("wrong")) is not granted, found.stdout
            answer = house.drawing("render", **settings, **held).event(PROMPT, id="1")
            if not granted:
                assert answer.status == 503, "the installation's fault"
                assert any("team/" in sentence for sentence in found.sentences("wrong")), found.stdout
                continue
            image = outcome_of(answer)["data"]["images"][0]
            keys = [image["key"], image["renditions"][0]["key"]]
            assert [name.startswith("team/art/") for name in keys] == [True, True]
            assert house.read(keys[1])[8:12] == b"WEBP"
