"""Stores that break one promise each: `darkroom check-store` names it, and the server refuses to serve on them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from function.store.check_store import check_store
from tests.darkroom import DarkroomProcess, darkroom
from tests.faults import (
    Answer,
    Answered,
    Asked,
    Dated,
    Disguise,
    Fault,
    Frozen,
    HangUp,
    LookFirst,
    Onward,
    Stale,
    ignore_condition,
    truncate,
    undated,
)
from tests.faults.proxy import FaultProxy
from tests.servers.minio import Minio
from tests.sizing import sized
from tests.store.real import s3_store
from tests.stores import new_bucket

RACERS, KEYS = sized((8, 2), (32, 20))
AT_ONCE = 3
TWICE, RACE = "a second create of the same key is refused", "simultaneous creates exactly one wins"
MISSING, READ = "a missing key reads as missing", "every client reads what was written last"
CLOCK, GONE = "the store's clock runs and dates fresh objects", "a deleted object is gone"

# Each lie, the promise that it breaks, and words of the sentence that tells it.
LIES: dict[str, tuple[Callable[[], Fault], str, str]] = {
    "header ignored": (lambda: Fault(ignore_condition), TWICE, "it overwrote what the first had created"),
    "race": (lambda: Fault(LookFirst(1.0)), RACE, "keys had several winners"),
    "200 for a refused create": (lambda: Fault(Disguise(412, 200)), TWICE, "it was answered like the first"),
    "304 for a refused create": (lambda: Fault(Disguise(412, 304)), TWICE, "answered 304"),
    "404 for a refused create": (lambda: Fault(Disguise(412, 404, "NoSuchKey")), TWICE, "answered NoSuchKey"),
    "404 on a create": (lambda: Fault(Answer(404, "NoSuchKey"), creates=True), TWICE, "answered NoSuchKey"),
    "stale reads": (lambda: Fault(Stale()), READ, "reads were stale"),
    "stale reads elsewhere": (lambda: Fault(Stale(elsewhere=True)), READ, "by another client after"),
    "no clock": (lambda: Fault(undated), CLOCK, "sends no Date header"),
    "a frozen clock": (lambda: Fault(Frozen()), CLOCK, "its clock moved by 0 s"),
    "another clock": (lambda: Fault(Dated(-600)), CLOCK, "had an age of -"),
    "403 for what is missing": (lambda: Fault(Disguise(404, 403, "AccessDenied")), MISSING, "and s3:ListBucket"),
    "deleted and still there": (lambda: Fault(Answer(204), "DELETE"), GONE, "it could still be read"),
    "short answers": (lambda: Fault(truncate, "GET"), READ, "object storage does not answer"),
}
# What the command and the server are tried with in `make test`: each start takes seconds.
COMMAND = sized(["header ignored", "403 for what is missing"], list(LIES))
SERVER = sized(["a frozen clock"], list(LIES))


def environment(proxy: FaultProxy) -> dict[str, str]:
    return proxy.environment | {"DARKROOM_IMAGE_BUCKET": new_bucket(proxy.server, "liar")}


def checked(settings: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """The real command."""
    return darkroom("check-store", f"--racers={RACERS}", f"--keys={KEYS}", **settings)


def tells(lie: str, sentences: list[str]) -> bool:
    """Whether one of the sentences names the promise that the lie breaks."""
    _, promise, words = LIES[lie]
    return any(promise in sentence and words in sentence for sentence in sentences)


def found(minio: Minio, lie: str) -> None:
    """The command names the broken promise, and one that is broken hides no other."""
    with FaultProxy(minio) as proxy, proxy.injecting(LIES[lie][0]()):
        done = checked(environment(proxy))
    assert done.returncode == 1, (lie, done.stdout, done.stderr)
    lines = done.stdout.splitlines()
    assert tells(lie, [line for line in lines if line.startswith("BROKEN")]), (lie, done.stdout, done.stderr)
    assert len(lines) == 6, lines


def refused(minio: Minio, folder: Path, lie: str) -> None:
    """The server refuses: its startup probe never passes, its code is 1, and its log has the sentence."""
    with FaultProxy(minio) as proxy, proxy.injecting(LIES[lie][0]()):
        settings = environment(proxy) | {"DARKROOM_CHECK_STORE": "true"}
        with DarkroomProcess("render", minio, folder, settings, program=("-m", "tests.drawing")) as process:
            process.wait_listening()
            assert process.probe("startup") == 503
            assert process.wait_exit(120) == 1
        rows = [json.loads(line) for line in process.log.splitlines() if line.startswith("{")]
    assert tells(lie, [row["error"] for row in rows if row["event"] == "store.broken"]), (lie, rows)
    assert any(row["event"] == "start.failed" for row in rows)
    assert not any(row["event"] == "store.checked" for row in rows)


@pytest.mark.chaos
def test_each_lie_is_found(minio: Minio) -> None:
    with ExitStack() as stack:
        trials = []
        for lie, (make, _, _) in LIES.items():
            proxy = stack.enter_context(FaultProxy(minio))
            stack.enter_context(proxy.injecting(make()))
            bucket = new_bucket(minio, "liar")
            # Two clients: the store's tests make one for each environment.
            one, other = (s3_store(proxy.environment | {"CLIENT": name}, bucket) for name in ("one", "other"))
            trials.append((lie, check_store(one, other, RACERS, KEYS)))
        with ThreadPoolExecutor(len(trials)) as pool:
            findings = list(pool.map(lambda trial: list(trial[1]), trials))
    told = {lie: [str(one) for one in each if not one.kept] for (lie, _), each in zip(trials, findings, strict=True)}
    assert [lie for lie in LIES if not tells(lie, told[lie])] == []
    print(f"\n{len(told)} of {len(LIES)} lies found")
    for lie, sentences in told.items():
        print(f"  {lie}: {' / '.join(sentences)}")


@pytest.mark.chaos
def test_the_command_finds_each(minio: Minio) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda lie: found(minio, lie), COMMAND))
    print(f"\n{len(COMMAND)} of {len(COMMAND)} lying stores found by `darkroom check-store`")


@pytest.mark.chaos
def test_the_server_refuses_each(minio: Minio, tmp_path: Path) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda lie: refused(minio, tmp_path, lie), SERVER))
    print(f"\n{len(SERVER)} of {len(SERVER)} lying stores refused at start")


@pytest.mark.chaos
def test_the_real_store_passes(proxy: FaultProxy) -> None:
    done = checked(environment(proxy))
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["ok"] * 6


def lose_what_was_won(asked: Asked, onward: Onward) -> Answered:
    answer = onward(asked)
    if answer.good:
        raise HangUp
    return answer


def test_a_lost_answer_is_no_lie(minio: Minio) -> None:
    with FaultProxy(minio) as proxy, proxy.injecting(Fault(lose_what_was_won, creates=True)):
        done = checked(environment(proxy))
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert f"{KEYS} keys, and {KEYS} creates got no answer" in done.stdout


def test_intake_is_ready_after_the_check(proxy: FaultProxy, tmp_path: Path) -> None:
    prompts, sink = new_bucket(proxy.server, "prompts"), "http://127.0.0.1:9"
    settings = environment(proxy) | {"DARKROOM_PROMPT_BUCKETS": prompts, "K_SINK": sink, "DARKROOM_CHECK_STORE": "true"}
    with DarkroomProcess("intake", proxy.server, tmp_path, settings) as process:
        process.wait_listening()
        assert [process.probe(probe) for probe in ("startup", "readiness", "liveness")] == [503, 503, 200]
        process.wait_ready()
        assert "store.checked" in process.log
