"""What the doctor says of settings, sink, model and GPU, and how it says it."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from function.demo.process import free_ports
from function.doctor.examining import findings
from function.doctor.finding import Check, Finding
from function.extras import needs
from function.render.manifest import MANIFEST, ORIGIN
from tests.darkroom import REPOSITORY
from tests.doctor.running import report, run
from tests.receiver import receiver

MODEL: Final = REPOSITORY / "models" / "shapes"


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


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model of the test's own, to spoil."""
    return Path(shutil.copytree(MODEL, tmp_path / "shapes"))


def of_model(folder: Path | str, **more: str) -> list[str]:
    said = report({"DARKROOM_MODEL": str(folder), **more}, "model")
    assert all(mend for check in {row["check"] for row in said.findings} for mend in said.mends(check))
    return said.sentences()


def test_a_model_is_looked_at_to_the_byte(model: Path) -> None:
    assert of_model(model, DARKROOM_VAE=str(model)) == []
    spoiled = model / "vae" / "config.json"
    whole = spoiled.read_bytes()
    spoiled.write_bytes(whole + b" ")
    (changed,) = of_model(model)
    assert f"the model in {model} is not what its SHA256SUMS lists: vae/config.json has changed" in changed
    (model / ORIGIN).write_text('{"model": "owner/name", "revision": "0123", "variant": "fp16"}')
    (mend,) = report({"DARKROOM_MODEL": str(model)}, "model").mends("model-hashed")
    assert mend == f"darkroom prefetch owner/name@0123 {model} --variant fp16"
    (model / ORIGIN).unlink()
    spoiled.write_bytes(whole)
    (model / MANIFEST).unlink()
    said = report({"DARKROOM_MODEL": str(model)}, "model")
    assert said.sentences() == [f"the model in {model} has no SHA256SUMS, so nobody notices a file that changed"]
    # The command that is printed mends it.
    subprocess.run(["bash", "-c", said.mends("model-hashed")[0]], check=True)
    assert of_model(model) == []


def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    said = report({"DARKROOM_MODEL": str(gone)}, "model")
    (sentence,) = said.wrong("model-there")
    assert said.mends("model-there")[0].startswith("darkroom prefetch stabilityai/stable-diffusion-xl-base-1.0@")
    assert sentence.startswith(f"model {gone}: there is no such directory")
    (vae,) = of_model(MODEL, DARKROOM_VAE=str(gone))
    assert vae.startswith(f"VAE {gone}: there is no such directory")
    skipped = report({"DARKROOM_MODEL": "/nowhere/model"}, "model")
    assert skipped.sentences("skipped") == ["/nowhere, where the model lies, is not mounted here"]


def test_a_model_of_the_hub_is_looked_for_in_its_cache(tmp_path: Path) -> None:
    revision = "0" * 40
    named = {"DARKROOM_MODEL_REVISION": revision, "HF_HUB_CACHE": str(tmp_path)}
    (sentence,) = of_model("owner/name", **named)
    assert sentence == f"the model owner/name at {revision} is not in the hub cache {tmp_path}"
    (tmp_path / "models--owner--name" / "snapshots" / revision).mkdir(parents=True)
    assert of_model("owner/name", **named) == []


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
