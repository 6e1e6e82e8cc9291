"""docs/install.md names only what there is; what it says of a cluster without a GPU, `make e2e` follows by word."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from function.cli import main
from tests.darkroom import REPOSITORY
from tests.docs.test_readme import Block, blocks
from tests.manifests.conftest import Kustomize
from tests.manifests.rendering import Rendering, build, name_of, rendered
from tests.manifests.vendor import SOURCES
from tests.stores import running

PAGE: Final = (REPOSITORY / "docs" / "install.md").read_text("utf-8")
BLOCKS: Final = blocks(PAGE)
# What `make e2e` runs, and what needs a cluster that it has not.
FOLLOWED: Final = {"sh local install", "sh local prompt", "sh local uninstall"}
ELSEWHERE: Final = {"sh knative", "sh kind", "sh cluster"}
SHELL: Final = [block for block in BLOCKS if block.kind in FOLLOWED | ELSEWHERE]
# A path in the repository, from one of its folders on.
PATHS: Final = re.compile(r"(?<![\w/.-])(?:knative|docs|tests|models|requirements)/[\w./-]+\w")


def test_every_block_says_what_it_is() -> None:
    assert {block.kind for block in BLOCKS} <= FOLLOWED | ELSEWHERE | {"yaml"}
    assert {block.kind for block in BLOCKS} >= FOLLOWED | ELSEWHERE


@pytest.mark.parametrize("block", SHELL, ids=lambda block: f"line {block.line}")
def test_every_command_is_shell_that_bash_can_read(block: Block) -> None:
    read = subprocess.run(["bash", "-n", "-c", block.text], capture_output=True, text=True, check=False)
    assert read.returncode == 0, read.stderr


def test_the_page_waits_for_all_that_it_installs_of_knative() -> None:
    (block,) = [block for block in BLOCKS if block.kind == "sh knative"]
    homes = {"serving": "knative-serving", "eventing": "knative-eventing", "net-kourier": "kourier-system"}
    made = {homes[name] for name in re.findall(r"github\.com/[\w-]+/([\w-]+)/", block.text)}
    assert set(re.findall(r"kubectl wait .* deployment --all --namespace (\S+)", block.text)) == made


def test_the_versions_of_the_page_are_those_of_the_schemas() -> None:
    # Knative 1.x has Go modules 0.(x + 27).
    serving, eventing = (int(SOURCES[part].at.version.split(".")[1]) for part in ("serving", "eventing"))
    tried = f"Serving 1.{serving - 27} (0.{serving} by its Go module) and Eventing 1.{eventing - 27} (0.{eventing})"
    assert tried in PAGE.replace("\n", " ")
    release = SOURCES["kafka"].at.version
    assert f"KNATIVE=releases/download/{release}" in PAGE
    assert f"Kafka's of {release.removeprefix('knative-v').removesuffix('.0')}." in PAGE


@pytest.fixture(scope="module")
def kustomize() -> Iterator[Kustomize]:
    """Kustomize, built; without it there is nothing to render with."""
    yield from running(Kustomize())


def ours(number: int, **instead: str) -> Rendering:
    """What the page's first or second folder of one's own comes to, with some lines of it as they are given here."""
    block = [block for block in BLOCKS if block.kind == "yaml"][number]
    (REPOSITORY / ".cache").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=REPOSITORY / ".cache") as folder:
        lines = [instead.get(line.partition(":")[0], line) for line in block.text.splitlines()]
        text = "\n".join(lines).replace("../knative/", "../../knative/")
        (Path(folder) / "kustomization.yaml").write_text(text, "utf-8")
        return Rendering.of(build(Path(folder)))


@pytest.mark.usefixtures("kustomize")
def test_the_overlay_of_ones_own_is_one() -> None:
    rendering = ours(0)
    render = rendering.get("Service/render")["spec"]["template"]
    assert render["metadata"]["annotations"]["autoscaling.knative.dev/max-scale"] == "2"
    assert {pod.containers[0]["image"].partition("/")[0] for pod in rendering.pods()} == {"registry.example.com"}
    settings = rendering.get("ConfigMap/darkroom")["data"]
    assert settings["AWS_ENDPOINT_URL_S3"] == "http://minio.storage.svc.cluster.local:9000"
    assert settings["DARKROOM_MODEL"] == "/models/sdxl"


@pytest.mark.usefixtures("kustomize")
@pytest.mark.parametrize(
    "instead", [{}, {"resources": "resources: [../knative/overlays/kafka]", "components": ""}], ids=["ceph", "minio"]
)
def test_kafka_is_that_of_ones_own_wherever_it_is_named(instead: dict[str, str]) -> None:
    rendering = ours(1, **instead)
    assert rendering.get("Broker/darkroom")["metadata"]["annotations"]["eventing.knative.dev/broker.class"] == "Kafka"
    broker = rendering.get("ConfigMap/darkroom-broker")["data"]
    assert broker["bootstrap.servers"] == "kafka.example.com:9092"
    assert broker["default.topic.partitions"] == "10"
    sinks = [sink["spec"]["bootstrapServers"] for sink in rendering.kind("KafkaSink")]
    assert sinks
    assert {*map(tuple, sinks)} == {("kafka.example.com:9092",)}
    assert "kafka.kafka.svc" not in json.dumps(rendering.objects)


def test_what_is_deleted_on_the_way_to_kafka_is_what_the_move_makes_anew_or_leaves_behind() -> None:
    before, after = rendered("overlays/ceph"), rendered("overlays/ceph + components/kafka-broker")
    gone = {name_of(thing) for thing in before.objects} - {name_of(thing) for thing in after.objects}
    assert gone == {"Service/archive", "ServiceAccount/archive"}
    (line,) = re.findall("delete (ksvc/.*)", PAGE)
    assert set(line.split()) == {"ksvc/archive", "serviceaccount/archive"}
    chosen = [thing for kind in ("Broker", "Trigger") for thing in before.kind(kind)]
    assert {thing["metadata"]["labels"]["app.kubernetes.io/name"] for thing in chosen} == {"darkroom"}


def test_every_path_is_there() -> None:
    named = set(PATHS.findall(PAGE))
    assert len(named) >= 5
    assert [path for path in sorted(named) if not (REPOSITORY / path).exists()] == []


def test_every_overlay_is_told_of() -> None:
    there = {path.parent.name for path in (REPOSITORY / "knative" / "overlays").glob("*/kustomization.yaml")}
    assert {name for name in there if f"overlays/{name}" not in PAGE} == set()


def calls(program: str) -> list[list[str]]:
    """Every call of a program that the page shows, in a block or in a sentence, as words."""
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", PAGE, flags=re.MULTILINE | re.DOTALL))
    lines = [line for block in SHELL for line in block.text.splitlines()]
    shown = [text.split() for text in [*inline, *lines] if text.startswith(f"{program} ")]
    assert shown, program
    return shown


def test_every_command_of_ours_exists_with_its_options() -> None:
    asked = calls("darkroom")
    assert {"doctor", "prefetch", "status"} <= {words[1] for words in asked}
    for _, name, *words in asked:
        known = {option for parameter in main.commands[name].params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known, name


def test_make_knows_what_it_is_asked_for() -> None:
    asked = calls("make")
    assert {"image", "e2e"} <= {words[1] for words in asked}
    for words in asked:
        run = subprocess.run([*words, "--dry-run"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr
