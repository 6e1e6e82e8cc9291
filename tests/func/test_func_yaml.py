"""func.yaml is one by func's own schema, is taken by Knative's webhook, and says nothing else than knative/base."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from jsonschema import Draft4Validator

from function.capacity import QUEUE_PROXY_DRAIN
from function.config import Settings, WrongSettings, unknown, variables
from tests.contract.validate import FORMATS
from tests.darkroom import REPOSITORY

FILE: Final = REPOSITORY / "func.yaml"
SCHEMA: Final = json.loads((Path(__file__).parent / "func_yaml-schema.json").read_text("utf-8"))
BASE: Final = REPOSITORY / "knative" / "base"

TIMEOUT: Final = 300  # Knative's default timeoutSeconds, the only one that a function can have
OWN: Final = {"PORT", "K_SERVICE", "K_CONFIGURATION", "K_REVISION"}  # what Knative sets, and lets nobody else set
REFERENCE: Final = re.compile(r"\{\{ (secret|configMap):([a-z0-9.-]+)(?::[\w.-]+)? \}\}")

Document = dict[str, Any]


class _Loader(yaml.SafeLoader):
    """YAML as func reads it: `created` stays text, of which PyYAML would make a datetime, and the schema no string."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def loaded() -> Document:
    document: Document = yaml.load(FILE.read_text("utf-8"), _Loader)  # noqa: S506  # it is a SafeLoader
    return document


def environment(document: Document) -> dict[str, str]:
    return {each["name"]: each["value"] for each in document["run"]["envs"] if "name" in each}


def settable(name: str) -> bool:
    ours = name.startswith(("AWS_", "DARKROOM_")) or name in variables().values()
    return ours and name not in OWN


def faults(document: Document) -> list[str]:
    """What is wrong with a func.yaml: a sentence for each thing that func, Knative or Darkroom would not take."""
    found = [
        f"{fault.json_path}: {fault.message}"
        for fault in Draft4Validator(SCHEMA, format_checker=FORMATS).iter_errors(document)
    ]
    found += [
        f"{name}: func puts it on the Service, where Knative's webhook refuses it"
        for name in document["deploy"].get("annotations", {})
        if name.startswith("autoscaling.knative.dev/")
    ]
    found += [
        f"{volume['path']}: func's mount is not read-only, so Knative's webhook refuses such a claim"
        for volume in document["run"].get("volumes", [])
        if volume.get("persistentVolumeClaim", {}).get("readOnly")
    ]
    values = environment(document)
    found += unknown(values)
    found += [f"{name} is not for func.yaml to set" for name in values if not settable(name)]
    try:
        settings = Settings.from_environment(values)
    except WrongSettings as wrong:
        return [*found, str(wrong)]
    if not settings.render_limit <= settings.drain_grace <= TIMEOUT - QUEUE_PROXY_DRAIN:
        found.append(f"render limit <= drain grace <= {TIMEOUT - QUEUE_PROXY_DRAIN:g} s does not hold")
    return found


def test_nothing_is_wrong_with_it() -> None:
    assert faults(loaded()) == []


@pytest.mark.parametrize(
    ("broken", "fault"),
    [
        (lambda it: it["deploy"]["options"]["resources"]["limits"].update({"nvidia.com/gpu": "1"}), "nvidia.com/gpu"),
        (lambda it: it["deploy"].update(timeoutSeconds=600), "timeoutSeconds"),
        (lambda it: it["deploy"]["options"]["scale"].update(utilization=0), "utilization"),
        (lambda it: it.update(invoke="event"), "event"),
        (lambda it: it.update(created="yesterday"), "created"),
        (lambda it: it.pop("specVersion"), "specVersion"),
        (lambda it: it["deploy"]["annotations"].update({"autoscaling.knative.dev/window": "60s"}), "window"),
        (
            lambda it: it["run"].update(
                volumes=[{"persistentVolumeClaim": {"claimName": "model", "readOnly": True}, "path": "/models"}]
            ),
            "/models",
        ),
        (lambda it: it["run"]["envs"].append({"name": "DARKROOM_RENDER_LIMITS", "value": "1"}), "did you mean"),
        (lambda it: it["run"]["envs"][-1].update(value="300"), "drain grace"),
        (lambda it: it["run"]["envs"].append({"name": "DARKROOM_LEASE", "value": "soon"}), "DARKROOM_LEASE"),
        (lambda it: it["run"]["envs"].append({"name": "PORT", "value": "80"}), "PORT"),
        (lambda it: it["run"]["envs"].append({"name": "HF_HOME", "value": "/models"}), "HF_HOME"),
    ],
)
def test_what_is_wrong_is_noticed(broken: Callable[[Document], object], fault: str) -> None:
    document = deepcopy(loaded())
    broken(document)
    found = faults(document)
    assert len(found) == 1, found
    assert fault in found[0]


def base(kind: str, name: str) -> Document:
    """The object of knative/base, before kustomize."""
    documents = [each for path in sorted(BASE.glob("*.yaml")) for each in yaml.safe_load_all(path.read_text("utf-8"))]
    (found,) = (each for each in documents if (each["kind"], each.get("metadata", {}).get("name")) == (kind, name))
    return dict(found)


def test_it_says_what_knative_base_says() -> None:
    it, kustomization = loaded(), yaml.safe_load((BASE / "kustomization.yaml").read_text("utf-8"))
    service = base("Service", "render")
    template = service["spec"]["template"]
    annotations, spec = template["metadata"]["annotations"], template["spec"]
    deploy, options = it["deploy"], it["deploy"]["options"]

    assert it["namespace"] == kustomization["namespace"]
    assert deploy["serviceAccountName"] == spec["serviceAccountName"]
    assert options["resources"]["limits"]["concurrency"] == spec["containerConcurrency"]
    assert options["scale"]["min"] == int(annotations["autoscaling.knative.dev/min-scale"])
    assert options["scale"]["max"] == int(annotations["autoscaling.knative.dev/max-scale"])
    assert options["scale"]["utilization"] == int(annotations["autoscaling.knative.dev/target-utilization-percentage"])
    assert deploy["annotations"].items() <= annotations.items()
    labels = service["metadata"]["labels"] | template["metadata"]["labels"]
    assert {each["key"]: each["value"] for each in deploy["labels"]} == labels

    (generated,) = (each for each in kustomization["configMapGenerator"] if each["name"] == "darkroom")
    literals = dict(each.split("=", 1) for each in generated["literals"])
    ours = environment(it)
    assert {name for name in ours if name in literals and ours[name] != literals[name]} <= {"DARKROOM_RENDER_LIMIT"}


def test_what_it_refers_to_is_what_knative_base_refers_to() -> None:
    """A ConfigMap is none of it: kustomize gives it another name at each change, and func knows no such."""
    (container,) = base("Service", "render")["spec"]["template"]["spec"]["containers"]
    secrets = {each["secretRef"]["name"] for each in container["envFrom"] if "secretRef" in each}
    named = [REFERENCE.fullmatch(each["value"]) for each in loaded()["run"]["envs"] if each["value"].startswith("{{")]
    assert named
    assert all(named), "no reference as func writes it"
    assert {(each[1], each[2]) for each in named if each} == {("secret", name) for name in secrets}
