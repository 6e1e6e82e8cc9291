"""From the process's start to a warm model: what the probes say meanwhile, and what becomes of a missing model."""

from __future__ import annotations

import time
import uuid
from pathlib import Path

import pytest

from tests.darkroom import outcome_of
from tests.process.conftest import Launch, Running
from tests.process.measure import Prober, peak_memory
from tests.sizing import sized

LONG = {"prompt": "a red star on a white background", "num_inference_steps": 60}


@pytest.mark.chaos
def test_start(launch: Launch, allowance: float) -> None:
    process = launch().process.wait_listening()
    alive = time.monotonic() - process.began
    assert "model.loaded" not in process.log, "liveness waited for the model"
    assert process.probe("startup") == process.probe("readiness") == 503
    with Prober(process.port) as prober:
        process.wait_ready()
        ready = time.monotonic() - process.began
    assert process.probe("startup") == 200
    print(
        f"start: liveness 200 after {alive:.2f} s, ready after {ready:.1f} s, "
        f"peak {peak_memory(process.pid) / 1e6:.0f} MB; "
        f"the longest gap between the answers of {len(prober.seconds)} probes was {prober.gap * 1000:.0f} ms"
    )
    assert alive < 5 * allowance
    assert prober.gap < sized(3, 1) * allowance
    process.stop()


@pytest.mark.chaos
def test_during_a_render(render: Running, allowance: float) -> None:
    with Prober(render.process.port) as prober:
        event = outcome_of(render.process.event(LONG, id=str(uuid.uuid4())))
    print(
        f"render of {event['data']['timings']}: the longest gap between the answers of {len(prober.seconds)} probes "
        f"was {prober.gap * 1000:.0f} ms, peak {peak_memory(render.process.pid) / 1e6:.0f} MB"
    )
    assert len(prober.seconds) > 10, "the render was over too early to prove anything"
    assert prober.gap < sized(1, 0.25) * allowance


@pytest.mark.parametrize("exists", [False, True], ids=["missing", "not a model"])
def test_no_model(launch: Launch, tmp_path: Path, exists: bool) -> None:  # noqa: FBT001  # a parameter of the test
    folder = tmp_path / "model"
    if exists:
        folder.mkdir()
    process = launch(DARKROOM_MODEL=str(folder)).process
    assert process.wait_exit(120) == 1
    complaints = [line for line in process.log.splitlines() if str(folder) in line]
    assert len(complaints) == 1, process.log
    assert ("is not in diffusers' layout" if exists else "there is no such directory") in complaints[0]
    assert "Traceback" not in process.log
