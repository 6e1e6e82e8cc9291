"""Two processes on one bucket: the same event many times, one render."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import urllib3

from tests.darkroom import DarkroomProcess, eventually, outcome_of, without_urls
from tests.doors.conftest import Doors

PROMPT = {"prompt": "a cyan cross on a black background", "num_inference_steps": 20}
FINAL = 200
AGAIN = {409, 429}


@pytest.fixture(scope="module")
def both(doors: Doors, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[DarkroomProcess, DarkroomProcess]]:
    environment = {"DARKROOM_IMAGE_BUCKET": doors.images}
    folder = tmp_path_factory.mktemp("second")
    with DarkroomProcess("render", doors.server, folder, environment) as second:
        yield doors.process, second.wait_ready()


def renders(both: tuple[DarkroomProcess, ...]) -> float:
    return sum(process.metric("darkroom_renders_total") for process in both)


def delivered(process: DarkroomProcess, id: str) -> urllib3.BaseHTTPResponse:
    """Deliver until the answer is final, as a broker does."""

    def attempt() -> urllib3.BaseHTTPResponse | None:
        answer = process.event(PROMPT, id=id)
        assert answer.status in {FINAL, *AGAIN}, answer.status
        return answer if answer.status == FINAL else None

    return eventually(attempt, "a final answer", seconds=240)


@pytest.mark.parametrize(("copies", "at_once"), [(20, 1), (16, 16)])
def test_one_render_and_one_outcome(
    doors: Doors, both: tuple[DarkroomProcess, DarkroomProcess], copies: int, at_once: int
) -> None:
    before = renders(both)
    id_ = f"{copies}-{uuid.uuid4()}"
    with ThreadPoolExecutor(at_once) as deliveries:
        answers = list(
            deliveries.map(lambda n: delivered(both[n % 2], id_), range(2 * copies if at_once == 1 else copies))
        )
    outcomes = {json.dumps(without_urls(outcome_of(answer)), sort_keys=True) for answer in answers}
    assert len(outcomes) == 1
    assert renders(both) - before == 1
    key = json.loads(outcomes.pop())["data"]["key"]
    assert doors.keys(f"records/{key}") == [f"records/{key}.json"]
    assert doors.keys(f"images/{key}/") == [f"images/{key}/0.png"]
    assert doors.keys(f"claims/{key}/") == [f"claims/{key}/1"]
    print(f"{len(answers)} deliveries, {at_once} at once: 1 render, 1 record, 1 outcome")
