"""What the doctor says of settings, sink, model and GPU, and how it says it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from function.config import WrongSettings
from function.demo.process import free_ports
from function.doctor.examining import findings
from function.doctor.finding import Check, Finding, looked_at
from function.extras import needs
from tests.doctor.running import report, run
from tests.receiver import receiver


def test_a_setting_that_sets_nothing() -> None:
    said = report({"DARKROOM_PROMT_BUCKETS": "prompts"}, "settings")
    assert said.sentences() == ["DARKROOM_PROMT_BUCKETS sets nothing; did you mean DARKROOM_PROMPT_BUCKETS?"]
    assert said.mends("settings-known")[0].startswith("unset DARKROOM_PROMT_BUCKETS ")


def test_settings_that_cannot_be_used_are_one_sentence() -> None:
    done = run(settings={"DARKROOM_LEASE": "soon"})
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "Error: DARKROOM_LEASE: must be a valid number, unable to parse string as a number"
    ]


def test_a_sink_is_asked_for_what_it_can_and_sent_nothing() -> None:
    (port,) = free_ports(1)
    sink = f"http://name:word@127.0.0.1:{port}/darkroom/darkroom?key=word"
    with receiver(port) as received:
        there = report({"K_SINK": sink}, "sink")
    where = f"the sink at http://127.0.0.1:{port}/darkroom/darkroom"
    assert there.sentences("ok") == [f"{where} answers OPTIONS with 501; that it takes events is not proven by that"]
    assert received.empty(), "an event was sent"
    gone = report({"K_SINK": sink}, "sink")
    assert gone.sentences() == [f"{where} does not answer: NewConnectionError"]
    assert gone.mends("sink-answers")[0].startswith("kubectl --namespace darkroom get brokers,sinkbindings")
    assert "word" not in there.stdout + gone.stdout


def test_certificates_that_are_none() -> None:
    said = report({"K_SINK": "https://127.0.0.1:9", "K_CA_CERTS": "none"}, "sink")
    assert said.sentences() == ["K_CA_CERTS holds no certificates in PEM"]


def test_the_gpu_as_torch_sees_it() -> None:
    torch = pytest.importorskip("torch")
    said = report({"DARKROOM_DEVICE": "cuda"}, "gpu")
    assert said.states("gpu-seen") == ({"ok"} if torch.cuda.is_available() else {"wrong"})


def test_for_people_each_finding_is_a_line_with_its_command_below() -> None:
    done = run("--only", "settings", "--only", "sink", settings={"DARKROOM_PORT": "80"})
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "settings",
        "  WRONG  DARKROOM_PORT sets nothing; did you mean PORT?",
        "         $ unset DARKROOM_PORT  # in a pod: enableServiceLinks: false, if no setting was meant",
        "sink",
        "  -      K_SINK is not set here; SinkBindings set it in the pods of intake and sweep",
        "1 wrong",
    ]
    fine = run("--only", "sink", settings={})
    assert (fine.returncode, fine.stdout.splitlines()[-1]) == (0, "nothing is wrong")


def test_a_name_is_shown_and_obeyed_neither_by_the_terminal_nor_by_the_shell() -> None:
    name = "DARKROOM_A;\x1b[2J \n\udcff"
    done = run("--only", "settings", settings={name: "1"})
    shown = r"DARKROOM_A;\x1b[2J \n\udcff"
    assert done.stdout.splitlines() == [
        "settings",
        f"  WRONG  {shown} sets nothing",
        f"         $ unset '{shown}'  # in a pod: enableServiceLinks: false, if no setting was meant",
        "1 wrong",
    ]


def test_what_people_have_written_wrongly_ends_one_look_and_not_the_next() -> None:
    check = Check("written", "", "")

    def look(text: str) -> Iterator[Finding]:
        yield check.ok("something")
        yield check.ok(str(int(text)))

    def settings() -> Iterator[Finding]:
        yield from ()
        raise WrongSettings("DARKROOM_LEASE: must be a valid number")

    told = [finding.sentence for finding in looked_at(check, lambda: look("word"))]
    assert told == ["something", "what is written there cannot be read: ValueError"]
    (odd,) = looked_at(check, settings)
    assert odd == check.unknown("what is written there cannot be read: DARKROOM_LEASE: must be a valid number")


@dataclass(frozen=True)
class Acting:
    """An examination that finds one thing and then does as the test wants."""

    act: Callable[[], object]
    name: str = "acting"
    checks: tuple[Check, ...] = ()
    seconds: float = 4.0

    def run(self) -> Iterator[Finding]:
        yield Finding("first", "ok", "is fine")
        self.act()
        yield Finding("second", "ok", "is fine, too")


def failing() -> None:
    raise RuntimeError("not-to-be-shown")


def test_an_examination_that_hangs_is_left_behind() -> None:
    over = threading.Event()
    told = list(findings(Acting(over.wait), patience=0.5))
    over.set()
    assert [finding.sentence for finding in told] == [
        "is fine",
        "no answer within 2 s; try again, or with --patience",
    ]
    assert told[-1].state == "unknown"


def test_what_an_examination_raises_is_a_finding() -> None:
    told = list(findings(Acting(failing)))
    assert told[1:] == [Finding("acting", "unknown", "could not be looked at: RuntimeError")]


def test_an_extra_that_is_not_installed_is_said() -> None:
    told = list(findings(Acting(lambda: needs("doctor", "no_such_module"))))
    assert told[-1].sentence == (
        "could not be looked at: no_such_module is not installed; install Darkroom with its extra [doctor]"
    )
