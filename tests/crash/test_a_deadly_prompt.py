"""A prompt that kills its process each time, sent to a real server that is started again each time, among others."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import urllib3

from tests.crash.conftest import LEASE_ON_MINIO
from tests.darkroom import DarkroomProcess, outcome_of, without_urls
from tests.drawing import DEADLY, renders
from tests.servers.minio import Minio
from tests.stores import new_bucket

pytestmark = pytest.mark.chaos


class Pod:
    """A server that is started again whenever it was killed, on the same port."""

    def __init__(self, server: Minio, folder: Path) -> None:
        self._server = server
        self._folder = folder
        self._environment = {
            "DARKROOM_IMAGE_BUCKET": new_bucket(server),
            "DARKROOM_LEASE": str(LEASE_ON_MINIO),
            "DRAWING_LOG": str(folder / "renders"),
        }
        self.deaths = 0
        self.process = self._start(None)

    def send(self, prompt: str, id: str) -> urllib3.BaseHTTPResponse | None:
        """The answer, or None where the process died of it and has been started again."""
        try:
            return self.process.event({"prompt": prompt}, id=id)
        except urllib3.exceptions.HTTPError:
            self.process.wait_exit(60)
            self.deaths += 1
            self.process = self._start(self.process.port)
            return None

    def _start(self, port: int | None) -> DarkroomProcess:
        process = DarkroomProcess(
            "render", self._server, self._folder, self._environment, program=("-m", "tests.drawing"), port=port
        )
        return process.wait_ready()


@pytest.mark.usefixtures("on_minio")  # which takes as long, and is under way meanwhile
def test_a_deadly_prompt_fails_for_good_and_harms_no_other(minio: Minio, tmp_path: Path) -> None:
    pod = Pod(minio, tmp_path)
    deadline, sent, failure = time.monotonic() + 600, 0, None
    try:
        while failure is None:
            assert time.monotonic() < deadline, "the deadly prompt has no outcome"
            answer = pod.send(f"a {DEADLY} nightshade", "deadly")
            if answer is not None and answer.status == 200:
                failure = outcome_of(answer)
            # One after the other: whatever is in the process when it is killed shares its fate.
            for _ in range(3):
                sent += 1
                other = pod.send(f"a rose {sent}", f"rose {sent}")
                assert other is not None, "another request's process died"
                assert outcome_of(other)["type"] == "dev.darkroom.image.completed"
            time.sleep(0.5)
        again = pod.send(f"a {DEADLY} nightshade", "deadly")
        assert again is not None
        assert without_urls(outcome_of(again)) == failure
    finally:
        pod.process.stop()
    drawn = renders(tmp_path / "renders")
    print(f"\n{pod.deaths} deaths, {sent} other requests, {len(drawn)} renders")
    assert failure["data"]["code"] == "attempts_exhausted"
    assert pod.deaths == 3
    assert len(drawn) == len(set(drawn)) + 2 == sent + 3
