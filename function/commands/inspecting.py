"""`darkroom inspect`: what files say of how they were made."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from function.extras import needs
from function.printing import printable

if TYPE_CHECKING:
    from function.finish.reading import Seen
    from function.finish.verification import Verdict


@click.command()
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)
)
@click.option("--json", "as_json", is_flag=True, help="One line of JSON for each file, with all that it says.")
def inspect(files: tuple[Path, ...], *, as_json: bool) -> None:
    """Say of each of FILES what it says of itself: prompt, seed, model, and how it is marked.

    Anyone can write such things into a file; `darkroom verify` says whether a signature stands for them. Ends with 1 if
    one of them is no picture.
    """
    needs("finish", "c2pa", "PIL")
    from function.finish.reading import NoPicture, seen
    from function.finish.verification import Verifier

    verifier, pictures = Verifier(), True
    for path in files:
        body = path.read_bytes()
        try:
            picture = seen(body)
        except NoPicture as error:
            pictures = False
            said = printable(f"{path} {error}")
            click.echo(json.dumps({"file": str(path), "error": str(error)}) if as_json else said)
            continue
        verdict = verifier(body)
        if as_json:
            click.echo(json.dumps({"file": str(path), "size": len(body), **_all(picture, verdict)}))
            continue
        told = list(_told(picture, verdict))
        nothing = "" if told else "; it says nothing of how it was made"
        size = f"{picture.width} x {picture.height}, {len(body):,} bytes"
        click.echo(printable(f"{path}: {picture.format}, {size}{nothing}"))
        for name, value in told:
            click.echo(f"  {name:9}{printable(value)}")
    sys.exit(not pictures)


def _all(picture: Seen, verdict: Verdict) -> dict[str, Any]:
    mark = {"source_type": verdict.source_type or verdict.xmp, "signature": verdict.state.value}
    return {**asdict(picture), "mark": mark | {"signer": verdict.signer}}


def _told(picture: Seen, verdict: Verdict) -> Iterator[tuple[str, str]]:
    if picture.record:
        yield from _drawn(picture.record)
    elif picture.parameters:
        yield from (("says", line) for line in picture.parameters.splitlines())
    if source := verdict.source_type or verdict.xmp:
        yield "source", source
    if verdict.signer:
        yield "signed", f"by {verdict.signer}; {verdict.state.value}"


def _drawn(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    rest = dict(record["prompt"])
    yield "prompt", str(rest.pop("prompt", ""))
    if negative := rest.pop("negative_prompt", None):
        yield "without", str(negative)
    yield "seed", str(record["seed"])
    # The request's own seed, and its files: not this picture's.
    shown = {
        name: value for name, value in rest.items() if name not in ("seed", "outputs", "destination") and value != []
    }
    yield "with", _joined(shown)
    yield "model", _joined(record["model"])
    adapters = record.get("adapters", [])
    # Anyone can have written it.
    for adapter in adapters if isinstance(adapters, list) else [adapters]:
        yield "adapter", _joined(adapter)
    yield "drawn by", _joined(record["software"])
    yield "key", str(record["key"])


def _joined(parts: object) -> str:
    """Names with their values where they are such, and anything else as it is."""
    if not isinstance(parts, dict):
        return str(parts)
    return ", ".join(f"{name} {_short(value)}" for name, value in parts.items() if value is not None)


def _short(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
