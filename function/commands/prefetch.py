"""`darkroom prefetch`: a model's files, or adapters', into a folder, with what the renderer checks them by again."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click

from function.config import Settings
from function.extras import needs
from function.render.adapters.fetching import fill_with_adapters
from function.render.fetching import LocalFiles, Source, fill, said
from function.render.manifest import MANIFEST
from function.render.weights import ModelUnavailable, vae_named

_SPACE: Final = (errno.ENOSPC, errno.EDQUOT)
_SHUT: Final = (errno.EACCES, errno.EPERM, errno.EROFS)


@click.command()
@click.argument("model", metavar="MODEL[@COMMIT]|LIST.json")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--variant", envvar="DARKROOM_MODEL_VARIANT", help="Weights variant, such as fp16; else DARKROOM_MODEL_VARIANT."
)
def prefetch(model: str, folder: Path, variant: str | None) -> None:
    """Put what the renderer needs of MODEL into FOLDER, and write its SHA256SUMS.

    MODEL is a hub id with the commit that is meant, or a directory; a pipeline, a refiner or a VAE. LIST.json lists
    adapters, as DARKROOM_ADAPTERS does: they come into FOLDER, and then the list itself. HF_TOKEN is for models that
    ask for one, HF_ENDPOINT for a mirror. Run again, it fetches what is missing, file by file, or finds nothing to do.
    """
    from function.logs import configure

    # A container's first process is deaf to SIGTERM unless it listens.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    settings = Settings.from_environment(os.environ)
    configure(settings.log_format)
    watching = _bar if settings.log_format == "auto" and sys.stderr.isatty() else _steps
    adapters = Path(model) if model.endswith(".json") else None
    sums = f"its sums are in {MANIFEST}"
    try:
        if adapters:
            sums = f"DARKROOM_ADAPTERS is {folder / adapters.name}"
            came = fill_with_adapters(adapters, folder, watching)
        else:
            came = fill(_source(model, folder), folder, variant or None, watching)
    except OSError as error:
        raise ModelUnavailable(_told(error, folder)) from error
    click.echo(
        f"{folder} holds {model}, whole and checked; {sums}"
        if came
        else f"{folder} holds {model} already, whole and unchanged: nothing to do"
    )


def _source(model: str, folder: Path) -> Source:
    named = vae_named(model)
    if named.revision is None:
        if folder.resolve() == Path(named.name).resolve():
            raise ModelUnavailable(f"model {model} is the folder itself: name another folder")
        return LocalFiles(Path(named.name))
    needs("render", "huggingface_hub")
    from function.render.hub import HubFiles

    return HubFiles(named)


def _told(error: OSError, folder: Path) -> str:
    if error.errno in _SPACE:
        return f"folder {folder} is full: make room or name a larger volume, and run the same again"
    if error.errno in _SHUT:
        return f"folder {folder} cannot be written by user {os.getuid()}: {error.strerror}: {error.filename}"
    return f"folder {folder} cannot be filled: {error}"


@contextmanager
def _bar(files: int, size: int) -> Iterator[Callable[[str, int], None]]:
    label = f"{files} files, {said(size)}"
    with click.progressbar(length=size, label=label, file=sys.stderr, item_show_func=lambda name: name) as bar:
        yield lambda name, count: bar.update(count, name)


@contextmanager
def _steps(files: int, size: int) -> Iterator[Callable[[str, int], None]]:
    import structlog

    log = structlog.get_logger()
    came, tenths = 0, 0
    log.info("fetching", files=files, bytes=size)

    def seen(name: str, count: int) -> None:
        nonlocal came, tenths
        came += count
        if size and came * 10 // size > tenths:
            tenths = came * 10 // size
            log.info("came", file=name, bytes=came, of=size)

    yield seen
    log.info("fetched", files=files, bytes=came)
