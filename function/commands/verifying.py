"""`darkroom verify`: whether files are as their signer left them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from function.extras import needs
from function.printing import printable

if TYPE_CHECKING:
    from function.finish.verification import Verdict

_FILE = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)


@click.command()
@click.argument("files", nargs=-1, required=True, type=_FILE)
@click.option("--trust", type=_FILE, help="PEM certificates of the authorities you trust; another signer is a failure.")
def verify(files: tuple[Path, ...], trust: Path | None) -> None:
    """Say of each of FILES who signed it, how it was made, and whether it was changed since.

    Ends with 1 unless all are signed and unchanged, and with --trust by someone you trust. Asks nothing of the network.
    """
    needs("finish", "c2pa", "PIL")
    from function.finish.verification import State, Verifier

    try:
        verifier = Verifier(trust.read_text("utf-8") if trust else None)
    except ValueError as error:
        raise click.UsageError(f"--trust: {trust} is not PEM with certificates: {error}") from None
    sound = True
    for path in files:
        verdict = verifier(path.read_bytes())
        sound &= verdict.state is State.VALID and verdict.trusted is not False
        click.echo(printable(f"{path}: {verdict.state.value}"))
        for name, value in _told(verdict):
            click.echo(f"  {name:8}{printable(value)}")
    sys.exit(not sound)


def _told(verdict: Verdict) -> Iterator[tuple[str, str]]:
    from function.finish.verification import State

    for reason in verdict.reasons:
        yield "why", reason
    if verdict.signer:
        trust = {None: "--trust says whether to trust that", True: "trusted", False: "not trusted"}
        yield "signer", f"{verdict.signer} ({trust[verdict.trusted]})"
    if verdict.source_type:
        yield "source", verdict.source_type
    if verdict.made_with:
        yield "made", f"with {verdict.made_with}" + (f", {verdict.when}" if verdict.when else "")
    if verdict.xmp and verdict.xmp != verdict.source_type:
        signed = verdict.state is State.VALID
        yield "xmp", verdict.xmp + ("" if signed else ", which anyone can write")
