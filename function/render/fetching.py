"""A folder is filled with a model's files, each checked, and says at any time whether it is whole.

`.darkroom.json` is written first and says whose files these are, `SHA256SUMS` when all of them are there and right.
A folder with the one and without the other is half filled; the renderer refuses it, and the next run fetches the files
that are missing.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from function.render.manifest import MANIFEST, ORIGIN, file_sum, files_in, mismatch, runnable
from function.render.needed import CONFIG, INDEX, of_pipeline, of_vae
from function.render.weights import ModelUnavailable

LOCK: Final = ".darkroom.lock"
TRIES: Final = 3
_SHA256: Final = 64
_BLOCK: Final = 1 << 20

T = TypeVar("T")


class Away(ModelUnavailable):
    """The source did not answer, or broke off: worth another try."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A file at its source: its sum is a sha256 or git's sha1 of a blob."""

    size: int
    sum: str


class Source(Protocol):
    """Where a model's files come from; `revision` is None where the same name may hold other files tomorrow."""

    @property
    def name(self) -> str: ...

    @property
    def revision(self) -> str | None: ...

    def listing(self) -> Mapping[str, Listed]: ...

    def fetch(self, name: str, folder: Path, seen: Callable[[int], None]) -> None:
        """Bring one file to its place in `folder`; `seen` is told of bytes as they come."""


class Watching(Protocol):
    """Shows how far it is: given the number and size of what has to come, it is told of each file's bytes."""

    def __call__(self, files: int, size: int) -> AbstractContextManager[Callable[[str, int], None]]: ...


class LocalFiles:
    """A directory on this machine; what the renderer would refuse there is refused."""

    revision = None

    def __init__(self, folder: Path) -> None:
        self.name = str(folder.resolve())
        for look in (runnable, mismatch):
            if complaint := look(folder):
                raise ModelUnavailable(f"model {folder} {complaint}")

    def listing(self) -> Mapping[str, Listed]:
        folder = Path(self.name)
        return {name: Listed((folder / name).stat().st_size, file_sum(folder / name)) for name in files_in(folder)}

    def fetch(self, name: str, folder: Path, seen: Callable[[int], None]) -> None:
        copy(Path(self.name) / name, folder / name, seen)


def fill(source: Source, folder: Path, variant: str | None, watching: Watching) -> bool:
    """Make `folder` hold what the renderer needs of `source`, and nothing else; False if it did before."""
    folder.mkdir(parents=True, exist_ok=True)
    if complaint := runnable(folder):
        raise ModelUnavailable(f"folder {folder} {complaint}")
    with alone(folder):
        _take(folder, {"model": source.name, "revision": source.revision, "variant": variant})
        if source.revision is not None and _whole(folder):
            return False
        _clear_remains(folder)
        listing = again(source.listing)
        wanted = _wanted(source, listing, folder, variant)
        if strangers := sorted(_visible(folder) - {MANIFEST, *wanted}):
            raise ModelUnavailable(f"folder {folder} holds {strangers[0]}, which is no part of this model: remove it")
        missing = {name: listing[name] for name in wanted if not holds(folder / name, listing[name])}
        if not missing and _whole(folder):
            return False
        (folder / MANIFEST).unlink(missing_ok=True)
        bring(source, missing, folder, watching)
        _clear_remains(folder)
        write(folder / MANIFEST, "".join(f"{file_sum(folder / name)}  {name}\n" for name in sorted(wanted)))
    return True


def bring(source: Source, missing: Mapping[str, Listed], folder: Path, watching: Watching) -> None:
    """Fetch these files into `folder`, each checked; none where there is no room for all."""
    size = sum(listed.size for listed in missing.values())
    if size > (free := shutil.disk_usage(folder).free):
        raise ModelUnavailable(
            f"folder {folder} has {said(free)} left, and {said(size)} have to come: make room, or name a larger volume"
        )
    with watching(len(missing), size) as seen:
        for name, listed in missing.items():
            _bring(source, name, listed, folder, seen)


def copy(source: Path, target: Path, seen: Callable[[int], None]) -> None:
    """Copy a file; `seen` is told of bytes as they come."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with source.open("rb") as reading, target.open("wb") as writing:
        while block := reading.read(_BLOCK):
            writing.write(block)
            seen(len(block))


def _take(folder: Path, origin: Mapping[str, str | None]) -> None:
    """Say in `folder` whose files these are; one that holds others is left alone."""
    try:
        held = json.loads((folder / ORIGIN).read_bytes())
    except (FileNotFoundError, ValueError):
        held = None
    if held == origin:
        return
    if there := sorted(_visible(folder)):
        of = f"{there[0]}, which prefetch did not put there" if held is None else f"another model, {json.dumps(held)}"
        raise ModelUnavailable(f"folder {folder} holds {of}: name another folder, or empty it")
    write(folder / ORIGIN, json.dumps(origin) + "\n")


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Nobody else fills the folder meanwhile: `ModelUnavailable` if somebody does."""
    with ExitStack() as closing:
        try:
            # Never replaced, and open for writing: NFS locks no other.
            file = closing.enter_context((folder / LOCK).open("ab"))
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ModelUnavailable(f"folder {folder} is being filled by another prefetch: wait for its end") from None
        except OSError:
            pass  # a file system without locks, or one where nobody writes
        yield


def _wanted(source: Source, listing: Mapping[str, Listed], folder: Path, variant: str | None) -> list[str]:
    key = INDEX if INDEX in listing else CONFIG
    if key not in listing:
        raise ModelUnavailable(f"model {source.name} has no {INDEX}: it is not in diffusers' layout")
    if not holds(folder / key, listing[key]):
        _bring(source, key, listing[key], folder, lambda _name, _count: None)
    try:
        said: Any = json.loads((folder / key).read_bytes())
        return (of_pipeline if key == INDEX else of_vae)(listing, said, variant)
    except (ValueError, AttributeError) as error:
        raise ModelUnavailable(f"model {source.name} has a {key} that is broken") from error
    except ModelUnavailable as error:
        raise ModelUnavailable(f"model {source.name} {error}") from None


def _bring(source: Source, name: str, listed: Listed, folder: Path, seen: Callable[[str, int], None]) -> None:
    def fetch() -> None:
        came = 0

        def count(size: int) -> None:
            nonlocal came
            came += size
            seen(name, size)

        (folder / name).unlink(missing_ok=True)
        try:
            source.fetch(name, folder, count)
        except Away:
            seen(name, -came)
            raise

    again(fetch)
    if not holds(folder / name, listed):
        (folder / name).unlink()
        raise ModelUnavailable(
            f"{name} from {source.name} is not what is listed there, {listed.size} bytes with the sum {listed.sum}: "
            "it was garbled on the way, or is forged; run the same again, and do not trust a source that does it twice"
        )


def again(attempt: Callable[[], T]) -> T:
    """What `attempt` gives, on its third try at last while its source is away."""
    for number in range(1, TRIES):
        try:
            return attempt()
        except Away:
            time.sleep(2 ** (number - 1))
    return attempt()


def holds(path: Path, listed: Listed) -> bool:
    """Whether the file is there and is the one that was listed."""
    if not path.is_file() or path.stat().st_size != listed.size:
        return False
    return (file_sum(path) if len(listed.sum) == _SHA256 else _git_sum(path)) == listed.sum


def _git_sum(path: Path) -> str:
    head = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: head).hexdigest()


def _whole(folder: Path) -> bool:
    return (folder / MANIFEST).is_file() and runnable(folder) is None and mismatch(folder) is None


def _visible(folder: Path) -> set[str]:
    """Every file but hidden ones at the top, such as `.darkroom.json` and what the hub's library notes."""
    return {name for name in files_in(folder) if not name.startswith(".")}


def _clear_remains(folder: Path) -> None:
    """The hub's library keeps locks and halves of files here, which it does not go on with."""
    shutil.rmtree(folder / ".cache" / "huggingface", ignore_errors=True)
    with suppress(OSError):  # there is none, or it holds what is not ours
        (folder / ".cache").rmdir()


def said(size: int) -> str:
    """A size as people read it."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def write(path: Path, text: str) -> None:
    """Write at once, so that nobody ever reads half of it."""
    new = path.with_name(f".{path.name.lstrip('.')}.new")
    new.write_text(text, "utf-8")
    new.replace(path)
