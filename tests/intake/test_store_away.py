"""Intake starts before its store does: it waits for it, and says so."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

from function.demo.s3server import S3Server
from tests.darkroom import DarkroomProcess, eventually
from tests.faults import Fault, hang_up
from tests.faults.proxy import FaultProxy


def errors(process: DarkroomProcess) -> set[str]:
    """Why the store was away, in the sentences of the log."""
    rows = [json.loads(line) for line in process.log.splitlines() if line.startswith("{")]
    return {row["error"] for row in rows if row["event"] == "store.away"}


def test_a_store_that_is_away_at_the_start_is_waited_for(seaweedfs: S3Server, tmp_path: Path) -> None:
    """The same process, alive and not ready, until the store answers and its bucket is there; then it is checked."""
    images = f"images-{secrets.token_hex(6)}"
    settings = {
        "DARKROOM_PROMPT_BUCKETS": "prompts",
        "DARKROOM_IMAGE_BUCKET": images,
        "DARKROOM_CHECK_STORE": "true",
        "K_SINK": "http://127.0.0.1:9",
    }
    with (
        FaultProxy(seaweedfs) as proxy,
        DarkroomProcess("intake", seaweedfs, tmp_path, proxy.environment | settings) as process,
    ):
        with proxy.injecting(Fault(hang_up)):
            process.wait_listening()
            away = eventually(lambda: errors(process), "a line that the store is away", 120)
            assert {sentence.partition(":")[0] for sentence in away} == {"object storage does not answer"}
            assert [process.probe(probe) for probe in ("startup", "readiness", "liveness")] == [503, 503, 200]
        missing = f"the bucket {images} does not exist"
        eventually(lambda: missing in errors(process), "a line that the bucket is missing", 120)
        seaweedfs.create_bucket(images)
        process.wait_ready()
        assert "store.checked" in process.log
        assert process.stop() == 0
