"""What kustomize makes of the folders in knative/."""

from __future__ import annotations

import copy
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

from function.demo.s3server import ServerAbsent
from tests.checks.tree import ROOT

KUSTOMIZE: Final = ROOT / ".cache/bin/kustomize"
KNATIVE: Final = ROOT / "knative"
SERVING: Final = "serving.knative.dev/v1"

Manifest = dict[str, Any]


SENSELESS: Final = {
    # There roles of the cloud stand in place of keys, for the doctor, too.
    "overlays/aws + policies/secrets",
    "overlays/aws + doctor",
    # Has it already.
    *(f"overlays/{name} + components/kafka-broker" for name in ("kafka", "keda")),
    # Nobody wakes a pod there for who waits, and the network policy lets in the broker's dispatcher alone.
    "overlays/keda + components/generate",
    # Its model is in the image, so there is no Job that fetches one, and no volume.
    *(f"overlays/local + components/{name}" for name in ("adapters", "refiner")),
    # Has no GPU.
    *(f"overlays/local + components/gpu/{name}" for name in ("gke", "karpenter", "eks-auto")),
}


def every_folder() -> list[str]:
    """Each folder in knative/ that kustomize can build or, a component, take in, relative to it."""
    return [str(path.parent.relative_to(KNATIVE)) for path in sorted(KNATIVE.rglob("kustomization.yaml"))]


def overlays() -> list[str]:
    """The folders that are installed as they are."""
    return sorted(f"overlays/{path.name}" for path in (KNATIVE / "overlays").iterdir() if path.is_dir())


def installations() -> list[str]:
    """The base, each overlay, and each of them with each component that is for it."""
    components = [folder for folder in every_folder() if _kind(folder) == "Component"]
    alone = ["base", *overlays()]
    # What lies below an overlay is for that one.
    both = [
        f"{folder} + {component}"
        for folder in alone
        for component in components
        if not component.startswith("overlays/") or component.startswith(f"{folder}/")
    ]
    return [*alone, *(each for each in both if each not in SENSELESS)]


def _kind(folder: str) -> str:
    return str(_kustomization(folder).get("kind", "Kustomization"))


def _kustomization(folder: str) -> Manifest:
    return dict(yaml.safe_load((KNATIVE / folder / "kustomization.yaml").read_text("utf-8")))


def find_kustomize() -> Path:
    """The program, or `ServerAbsent` where it was not built."""
    if not KUSTOMIZE.exists():
        raise ServerAbsent("kustomize is not there: `make kustomize`, which needs Go or kubectl")
    return KUSTOMIZE


def build(folder: Path) -> str:
    """The YAML that kustomize makes of a folder."""
    run = subprocess.run([find_kustomize(), "build", folder], capture_output=True, text=True, check=False)
    assert run.returncode == 0, f"kustomize build {folder.name}: {run.stderr}"
    # What it warns of, such as a field that is about to go, would be an error one day.
    assert run.stderr == "", f"kustomize build {folder.name}: {run.stderr}"
    return run.stdout


@cache
def rendered(folder: str) -> Rendering:
    """A folder of knative/ as it is applied, or `folder + component`; a component alone is on top of what it is for."""
    folder, _, component = folder.partition(" + ")
    if _kind(folder) == "Component":
        folder, component = str(Path(folder).parent) if folder.startswith("overlays/") else "base", folder
    if not component:
        return Rendering.of(build(KNATIVE / folder))
    with tempfile.TemporaryDirectory(dir=ROOT / ".cache") as scratch:
        above = {
            "resources": [os.path.relpath(KNATIVE / folder, scratch)],
            "components": [os.path.relpath(KNATIVE / component, scratch)],
        }
        (Path(scratch) / "kustomization.yaml").write_text(yaml.safe_dump(above), "utf-8")
        return Rendering.of(build(Path(scratch)))


def name_of(thing: Manifest) -> str:
    """Kind/name."""
    return f"{thing['kind']}/{thing['metadata']['name']}"


@dataclass(frozen=True)
class Pod:
    """The pods that an object makes."""

    owner: Manifest
    metadata: Manifest
    spec: Manifest

    @property
    def name(self) -> str:
        return name_of(self.owner)

    @property
    def containers(self) -> list[Manifest]:
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]

    @property
    def namespace(self) -> str | None:
        found: str | None = self.owner["metadata"].get("namespace")
        return found

    @property
    def labels(self) -> dict[str, str]:
        """The pods' labels, with the one by which Knative knows those of a Service."""
        knatives = {"serving.knative.dev/service": self.owner["metadata"]["name"]} if self.of_knative else {}
        return {**self.metadata.get("labels", {}), **knatives}

    @property
    def of_knative(self) -> bool:
        return bool(self.owner["apiVersion"] == SERVING)

    def volume(self, name: str) -> Manifest:
        """The volume of that name; nothing if it is missing."""
        return next((volume for volume in self.spec.get("volumes", []) if volume["name"] == name), {})


@dataclass(frozen=True)
class Rendering:
    """All objects of one installation."""

    objects: list[Manifest]

    @classmethod
    def of(cls, text: str) -> Rendering:
        return cls([thing for thing in yaml.load_all(text, yaml.CSafeLoader) if thing])

    def kind(self, kind: str, group: str = "") -> Iterator[Manifest]:
        """The objects of a kind, and of a group if one is named."""
        return (thing for thing in self.objects if thing["kind"] == kind and thing["apiVersion"].startswith(group))

    def services(self) -> Iterator[Manifest]:
        """Knative's, not Kubernetes' own."""
        return self.kind("Service", SERVING)

    def get(self, name: str) -> Manifest:
        """The object Kind/name."""
        return next(thing for thing in self.objects if name_of(thing) == name)

    def pods(self) -> Iterator[Pod]:
        """The pods of everything that makes some."""
        for thing in self.objects:
            match thing:
                case {"apiVersion": "serving.knative.dev/v1"} | {"kind": "Deployment" | "Job"}:
                    template = thing["spec"]["template"]
                case {"kind": "CronJob"}:
                    template = thing["spec"]["jobTemplate"]["spec"]["template"]
                case _:
                    continue
            yield Pod(thing, template.get("metadata", {}), template["spec"])

    def changed(self, name: str, at: Mapping[str, Any]) -> Rendering:
        """The same with one object changed: a value for each JSON pointer, `GONE` for nothing."""
        objects = copy.deepcopy(self.objects)
        thing = Rendering(objects).get(name)
        for pointer, value in at.items():
            put(thing, pointer, value)
        return Rendering(objects)


GONE: Final = object()


def put(thing: Any, pointer: str, value: object) -> None:
    """Sets what a JSON pointer names; what is missing on the way is made."""
    *way, last = [part.replace("~1", "/").replace("~0", "~") for part in pointer.removeprefix("/").split("/")]
    for part in way:
        thing = thing[int(part)] if isinstance(thing, list) else thing.setdefault(part, {})
    if value is GONE:
        del thing[int(last) if isinstance(thing, list) else last]
    elif isinstance(thing, list):
        # Behind the last is one more.
        thing[int(last) : int(last) + 1] = [copy.deepcopy(value)]
    else:
        thing[last] = copy.deepcopy(value)
