"""The model and what goes with it: whether it is there, is what render loads, and is what its SHA256SUMS lists."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from function.config import Settings
from function.doctor.finding import Check, Finding
from function.render import Model
from function.render.manifest import MANIFEST, ORIGIN, WRITE, files_in, mismatch, runnable
from function.render.needed import CONFIG, INDEX, of_pipeline, of_vae
from function.render.weights import (
    KIND,
    KIND_OF_REFINER,
    ModelUnavailable,
    downloading,
    folder_of,
    model_named,
    vae_named,
)

THERE = Check(
    "model-there",
    "the model, its VAE, refiner and adapters are where the settings say, and of the kind that render loads",
    "`darkroom prefetch`, in the cluster by the Job of that name",
)
HASHED = Check(
    "model-hashed",
    "every file of it is what its SHA256SUMS or the list of adapters says, and none of them can run code",
    "`darkroom prefetch`, or the line that writes SHA256SUMS again",
)
# As knative/base and its components fetch them; a test compares.
SOURCES: Final = {
    "model": "stabilityai/stable-diffusion-xl-base-1.0@462165984030d82259a11f4367a4eed129e94a7b",
    "VAE": "madebyollin/sdxl-vae-fp16-fix@207b116dae70ace3637169f1ddd2434b91b3a8cd",
    "refiner": "stabilityai/stable-diffusion-xl-refiner-1.0@5d4cfe854c9a9a87939ff3653551c2b3c99a4356",
}
# What names them with their commit in one; the model's is a setting of its own.
_VARIABLES: Final = {"VAE": "DARKROOM_VAE", "refiner": "DARKROOM_REFINER"}
_KINDS: Final = {"model": KIND, "refiner": KIND_OF_REFINER}
_HUB_PARTS: Final = 2


class ModelExamination:
    """What render loads."""

    name = "model"
    checks = (THERE, HASHED)
    # It reads every byte, from a volume that may be far away.
    seconds = 180.0

    def __init__(self, settings: Settings, environment: Mapping[str, str]) -> None:
        self._settings = settings
        self._environment = environment

    def run(self) -> Iterator[Finding]:
        if "DARKROOM_MODEL" not in self._environment and not Path(self._settings.model).is_dir():
            yield THERE.skipped("DARKROOM_MODEL is not set here, and only render needs it")
            return
        yield from self._look("model", self._settings.model, self._settings.model_variant)
        if self._settings.vae:
            yield from self._look("VAE", self._settings.vae, None)
        if self._settings.refiner:
            yield from self._look("refiner", self._settings.refiner, self._settings.model_variant)
        if self._settings.adapters:
            yield from _listed(Path(self._settings.adapters))

    def _look(self, what: str, name: str, variant: str | None) -> Iterator[Finding]:
        if _is_elsewhere(Path(name)):
            yield THERE.skipped(f"{Path(name).parent}, where the {what} lies, is not mounted here")
            return
        try:
            found = model_named(name, self._settings.model_revision) if what == "model" else vae_named(name)
        except ModelUnavailable as error:
            yield THERE.wrong(str(error).replace("model", what, 1), _naming(what, Path(name), variant))
            return
        if found.revision is None:
            yield from _in_folder(what, Path(name), variant)
        elif find_spec("huggingface_hub") is None:
            yield THERE.skipped(f"the {what} {found.name} is in a hub cache where pictures are drawn, and not here")
        else:
            yield from _in_cache(what, found, variant)


def _is_elsewhere(path: Path) -> bool:
    """Where torch is, pictures are drawn, and a folder that is not there is no matter of another pod."""
    return path.is_absolute() and not path.parent.is_dir() and find_spec("torch") is None


def _listed(file: Path) -> Iterator[Finding]:
    """The adapters, by their list."""
    from function.render.adapters.catalogue import Catalogue

    if _is_elsewhere(file):
        yield THERE.skipped(f"{file.parent}, where the adapters lie, is not mounted here")
        return
    name = shlex.quote(file.name)
    mend = f"darkroom prefetch {name} {shlex.quote(str(file.parent))}  # {name} is your list, see docs/adapters.md"
    try:
        catalogue = Catalogue.read(file)
    except ModelUnavailable as error:
        yield THERE.wrong(str(error), mend)
        return
    try:
        catalogue.check_files()
    except ModelUnavailable as error:
        yield HASHED.wrong(str(error), mend)
    else:
        yield HASHED.ok(f"every adapter's file is what {file} says")


def _in_folder(what: str, folder: Path, variant: str | None) -> Iterator[Finding]:
    if complaint := runnable(folder) or mismatch(folder):
        yield HASHED.wrong(f"the {what} in {folder} {complaint}", _fetching(what, folder, variant))
        return
    if complaint := _unfit(what, folder, variant):
        yield THERE.wrong(f"the {what} in {folder} {complaint}", _afresh(what, "$FOLDER", variant))
        return
    yield THERE.ok(f"the {what} is in {folder}")
    if (folder / MANIFEST).exists():
        yield HASHED.ok(f"every file in {folder} is what its {MANIFEST} lists")
    else:
        yield HASHED.wrong(
            f"the {what} in {folder} has no {MANIFEST}, so nobody notices a file that changed",
            f"cd {shlex.quote(str(folder))} && {WRITE}",
        )


def _in_cache(what: str, model: Model, variant: str | None) -> Iterator[Finding]:
    said = f"the {what} {model.name} at {model.revision}"
    try:
        folder = folder_of(model)
    except ModelUnavailable as error:
        # Its second half is the command.
        yield THERE.wrong(str(error).partition(";")[0].replace("model", f"the {what}", 1), downloading(model))
        return
    if complaint := runnable(folder) or mismatch(folder):
        # Without a revision, for it is in no hub then.
        named = _VARIABLES.get(what, "DARKROOM_MODEL, without DARKROOM_MODEL_REVISION")
        source = shlex.quote(f"{model.name}@{model.revision}")
        mend = f"darkroom prefetch {source} $FOLDER{_option(variant)}  # and name that folder in {named}"
        yield HASHED.wrong(f"{said} {complaint}", mend)
    elif complaint := _unfit(what, folder, variant):
        yield THERE.wrong(f"{said} {complaint}", f"{downloading(model)}  # if it is the one that is meant")
    else:
        yield THERE.ok(f"{said} is in the hub cache")
        yield HASHED.skipped(f"the hub cache has no {MANIFEST}; a folder of `darkroom prefetch` has one")


def _unfit(what: str, folder: Path, variant: str | None) -> str | None:
    """Why the renderer would not load what is in the folder, the end of a sentence; None if it would."""
    key, needed = (CONFIG, of_vae) if what == "VAE" else (INDEX, of_pipeline)
    try:
        names, described = list(files_in(folder)), json.loads((folder / key).read_bytes())
        if what == "refiner" and not any(re.match(rf"unet/.*\.{variant}\.", name) for name in names):
            # As it is loaded.
            variant = None
        kind = described.get("_class_name")
        if kind != _KINDS.get(what, kind):
            return f"is a {kind}; only a {_KINDS[what]} can be used"
        needed(names, described, variant)
    except ModelUnavailable as error:
        return str(error)
    except (OSError, ValueError, AttributeError):
        return f"is not in diffusers' layout: its {key} is missing or broken"
    return None


def _naming(what: str, named: Path, variant: str | None) -> str:
    """How a name that means nothing is made to mean something."""
    if named.is_dir():
        return "unset DARKROOM_MODEL_REVISION"
    if named.is_absolute() or len(named.parts) != _HUB_PARTS:
        return _afresh(what, shlex.quote(str(named)), variant)
    if variable := _VARIABLES.get(what):
        return f"export {variable}={shlex.quote(str(named).partition('@')[0])}@COMMIT  # the 40 hex digits of it"
    return f"export DARKROOM_MODEL_REVISION=COMMIT  # of {named}: the 40 hex digits that are meant"


def _fetching(what: str, folder: Path, variant: str | None) -> str:
    """How the files of a folder are fetched; one that `darkroom prefetch` has filled says itself what belongs there."""
    try:
        held = json.loads((folder / ORIGIN).read_bytes())
        source = f"{held['model']}@{held['revision']}" if held["revision"] else str(held["model"])
        return f"darkroom prefetch {shlex.quote(source)} {shlex.quote(str(folder))}{_option(held['variant'])}"
    except (OSError, ValueError, KeyError, TypeError):
        return _afresh(what, shlex.quote(str(folder)), variant)


def _afresh(what: str, folder: str, variant: str | None) -> str:
    return f"darkroom prefetch {SOURCES[what]} {folder}{_option(variant)}  # into an empty folder, or your own {what}"


def _option(variant: str | None) -> str:
    return f" --variant {shlex.quote(variant)}" if variant else ""
