"""A folder is filled with the adapters of a list, each checked, and the list itself comes last.

Without it the renderer has nothing to read; the next run fetches the files that are missing.
"""

from __future__ import annotations

import os
import posixpath
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Protocol

from function.extras import needs
from function.render import Model
from function.render.adapters.catalogue import Catalogue, File
from function.render.adapters.files import has_config
from function.render.fetching import Listed, Watching, again, alone, bring, copy, holds, write
from function.render.manifest import MANIFEST, ORIGIN, file_sum
from function.render.weights import ModelUnavailable

_CONFIG: Final = "config.json"
_ARRIVALS: Final = ".darkroom.arrivals"


def fill_with_adapters(file: Path, folder: Path, watching: Watching) -> bool:
    """Make `folder` hold the list in `file` and what it lists; False if it did before.

    What else lies there stays, such as the adapters of an earlier list.
    """
    source = AdapterFiles(file, folder)
    folder.mkdir(parents=True, exist_ok=True)
    if any((folder / name).exists() for name in (ORIGIN, MANIFEST)):
        raise ModelUnavailable(f"folder {folder} holds a model, to which adapters would be strangers: name another")
    with alone(folder):
        if source.are_there():
            return False
        listing = again(source.listing)
        missing = {name: listed for name, listed in listing.items() if not holds(folder / name, listed)}
        try:
            bring(source, missing, folder, watching)
        finally:
            shutil.rmtree(folder / _ARRIVALS, ignore_errors=True)
        source.installed.check_files()
        write(folder / file.name, source.text)
    return True


class AdapterFiles:
    """The files that a list names, each at the hub, beside the list or, put there by hand, in `folder` already.

    `ModelUnavailable` if the list cannot be read.
    """

    revision = None

    def __init__(self, file: Path, folder: Path) -> None:
        self.installed = Catalogue.read(file).within(folder)
        self.name = str(file)
        self.text = file.read_text("utf-8")
        self._target = folder / file.name
        self._origins: dict[Model | None, _Origin] = {None: _Folders(file.parent, folder)}
        self._places: dict[str, tuple[_Origin, str]] = {}

    def are_there(self) -> bool:
        """Whether they and the list are in the folder; the hub is not asked."""
        try:
            if self._target.read_text("utf-8") == self.text:
                self.installed.check_files()
                return True
        except (FileNotFoundError, UnicodeDecodeError, ModelUnavailable):
            pass
        return False

    def listing(self) -> Mapping[str, Listed]:
        """What has to be in the folder: weights by the list's sums, each `config.json` by its origin's."""
        found: dict[str, Listed] = {}
        for adapter, file, kind in self.installed.files():
            path = posixpath.normpath(file.path)
            if posixpath.isabs(path) or path.startswith(os.pardir):
                raise ModelUnavailable(f"adapter {adapter}: its path leads out of the list's folder; name one within")
            model, name = file.at_hub or (None, path)
            listed = {path: (name, self._look(adapter, model, name, file))}
            if has_config(kind):
                name = _beside(name)
                listed[_beside(path)] = name, self._look(adapter, model, name)
            for here, (there, one) in listed.items():
                if found.setdefault(here, one) != one:
                    raise ModelUnavailable(
                        f"adapter {adapter}: its {here} is another than one listed before it: give each a folder"
                    )
                self._places[here] = self._origins[model], there
        return found

    def fetch(self, name: str, folder: Path, seen: Callable[[int], None]) -> None:
        """Bring one file to its place in `folder`; `seen` is told of bytes as they come."""
        origin, there = self._places[name]
        arrived = folder / _ARRIVALS
        origin.fetch(there, arrived, seen)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (arrived / there).replace(folder / name)

    def _look(self, adapter: str, model: Model | None, name: str, file: File | None = None) -> Listed:
        """A file at its origin; with `file`, that is what it must be."""
        if model is not None and model not in self._origins:
            self._origins[model] = _AtHub(model)
        origin = self._origins[model]
        listed = origin.look(name)
        if listed is None:
            raise ModelUnavailable(f"adapter {adapter}: there is no {name} in {origin.name}")
        if file is None:
            return listed
        # Of what is not in git LFS the hub knows git's own sum alone.
        if len(listed.sum) == len(file.sha256) and listed.sum != file.sha256:
            raise ModelUnavailable(
                f"adapter {adapter}: {name} in {origin.name} has the sha256 {listed.sum}; "
                "write that into the list if it is what was meant"
            )
        return Listed(listed.size, file.sha256)


class _Origin(Protocol):
    name: str

    def look(self, name: str) -> Listed | None: ...

    def fetch(self, name: str, folder: Path, seen: Callable[[int], None]) -> None: ...


class _Folders:
    def __init__(self, *folders: Path) -> None:
        self.name = " or ".join(map(str, dict.fromkeys(folders)))
        self._folders = folders

    def look(self, name: str) -> Listed | None:
        path = next((folder / name for folder in self._folders if (folder / name).is_file()), None)
        return Listed(path.stat().st_size, file_sum(path)) if path else None

    def fetch(self, name: str, folder: Path, seen: Callable[[int], None]) -> None:
        # What is in the last of them is where it belongs, and is not fetched.
        copy(self._folders[0] / name, folder / name, seen)


class _AtHub:
    def __init__(self, model: Model) -> None:
        needs("render", "huggingface_hub")
        from function.render.hub import HubFiles

        files = HubFiles(model)
        self.name = f"{model.name} at {model.revision}"
        self.look = files.listing().get
        self.fetch = files.fetch


def _beside(path: str) -> str:
    return posixpath.join(posixpath.dirname(path), _CONFIG)
