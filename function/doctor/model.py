"""The model: whether it is there, and whether it is what its SHA256SUMS lists."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from function.config import Settings
from function.doctor.finding import Check, Finding
from function.render.manifest import MANIFEST, ORIGIN, WRITE, mismatch, runnable
from function.render.weights import ModelUnavailable, model_named, vae_named

THERE = Check("model-there", "the model and its VAE are where the settings say", "`darkroom prefetch`")
HASHED = Check(
    "model-hashed",
    "every file of it is what its SHA256SUMS lists, and none of them can run code",
    "`darkroom prefetch`, or the line that writes SHA256SUMS again",
)
# As knative/base fetches them.
SOURCES: Final = {
    "model": "stabilityai/stable-diffusion-xl-base-1.0@462165984030d82259a11f4367a4eed129e94a7b",
    "VAE": "madebyollin/sdxl-vae-fp16-fix@207b116dae70ace3637169f1ddd2434b91b3a8cd",
}


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
        yield from self._look("model", self._settings.model)
        if self._settings.vae:
            yield from self._look("VAE", self._settings.vae)

    def _look(self, what: str, name: str) -> Iterator[Finding]:
        folder = Path(name)
        if folder.is_absolute() and not folder.parent.is_dir():
            yield THERE.skipped(f"{folder.parent}, where the {what} lies, is not mounted here")
            return
        try:
            found = vae_named(name) if what == "VAE" else model_named(name, self._settings.model_revision)
        except ModelUnavailable as error:
            yield THERE.wrong(str(error).replace("model", what, 1), _fetching(what, folder))
            return
        if found.revision is not None:
            yield self._in_cache(what, found.name, found.revision)
            return
        yield THERE.ok(f"the {what} is in {folder}")
        if complaint := runnable(folder) or mismatch(folder):
            yield HASHED.wrong(f"the {what} in {folder} {complaint}", _fetching(what, folder))
        elif not (folder / MANIFEST).exists():
            yield HASHED.wrong(
                f"the {what} in {folder} has no {MANIFEST}, so nobody notices a file that changed",
                f"cd {shlex.quote(str(folder))} && {WRITE}",
            )
        else:
            yield HASHED.ok(f"every file in {folder} is what its {MANIFEST} lists")

    def _in_cache(self, what: str, name: str, revision: str) -> Finding:
        # As huggingface_hub lays it out, which is installed only where pictures are drawn.
        home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
        cache = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
        if (cache / f"models--{name.replace('/', '--')}" / "snapshots" / revision).is_dir():
            return THERE.ok(f"the {what} {name} is in the hub cache {cache}, whose files no {MANIFEST} lists")
        return THERE.wrong(
            f"the {what} {name} at {revision} is not in the hub cache {cache}",
            f"hf download {name} --revision {revision}",
        )


def _fetching(what: str, folder: Path) -> str:
    """How the files of a folder are fetched; one that `darkroom prefetch` has filled says itself what belongs there."""
    if not folder.is_absolute():
        return f"export DARKROOM_MODEL_REVISION=COMMIT  # of {folder}: the 40 hex digits that are meant"
    try:
        held = json.loads((folder / ORIGIN).read_bytes())
        source = f"{held['model']}@{held['revision']}" if held["revision"] else str(held["model"])
        variant = f" --variant {shlex.quote(held['variant'])}" if held["variant"] else ""
    except (OSError, ValueError, KeyError, TypeError):
        return (
            f"darkroom prefetch {SOURCES[what]} {shlex.quote(str(folder))}  # into an empty folder, or your own model"
        )
    return f"darkroom prefetch {shlex.quote(source)} {shlex.quote(str(folder))}{variant}"
