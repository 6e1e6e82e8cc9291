"""`darkroom submit`: a prompt file into the bucket or to a broker with one command, and its outcomes as they come."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from events.promptfile import Entries, InvalidPromptFile, read
from function.commands.backstops import url
from function.config import Settings, WrongSettings
from function.printing import printable

if TYPE_CHECKING:
    from function.commands.submission import Came

Step = Callable[[str], None]

# Seconds: the pauses between a broker's tries grow to half an hour, and a render after them takes a while.
TIMEOUT: Final = 3600

# Characters of the file's own name that are kept in the object's.
_STEM: Final = 100


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--bucket", metavar="NAME", help="Where to put it; left out, the one bucket in DARKROOM_PROMPT_BUCKETS.")
@click.option(
    "--to",
    metavar="URL",
    callback=url,
    help="Where to send an event for each prompt instead, such as a broker's ingress; DARKROOM_DOOR_TOKEN goes along.",
)
@click.option("--wait", is_flag=True, help="Wait until each prompt has its outcome, and print it as it comes.")
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=click.IntRange(1),
    help=f"With --wait, give up on the rest when no outcome has come for so long.  [default: {TIMEOUT}]",
)
@click.option(
    "--concurrency", default=4, show_default=True, type=click.IntRange(1, 64), help="Events that are sent at once."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines: index, outcome and refusal of each prompt.")
def submit(
    file: Path,
    bucket: str | None,
    to: str | None,
    timeout: int | None,
    concurrency: int,
    *,
    wait: bool,
    as_json: bool,
) -> None:
    """Have the prompts in FILE drawn: any format of a prompt file.

    The same file may be submitted again: what was drawn is told again and not drawn again. Ends with 1 if any prompt
    has failed, or has no outcome in time.
    """
    if bucket and to:
        raise click.UsageError("name either --bucket or --to")
    if timeout and not wait:
        raise click.UsageError("--timeout is for --wait")
    patience = (timeout or TIMEOUT) if wait else None
    settings = Settings.from_environment(os.environ)
    body = file.read_bytes()
    try:
        entries = read(file.name, body, settings.prompt_limits)
    except InvalidPromptFile as invalid:
        raise click.ClickException(str(invalid)) from None
    if to:
        came = _sent(settings, to, body, entries, concurrency, patience)
    else:
        came = _dropped(settings, bucket or _only_bucket(settings), file, body, entries, patience)
    failed = sum(_tell(came, len(entries), as_json=as_json))
    if failed:
        raise click.ClickException(f"{failed} of {_many(len(entries))} failed")


def _dropped(
    settings: Settings, bucket: str, file: Path, body: bytes, entries: Entries, patience: int | None
) -> Iterator[Came | None]:
    """What became of the prompts after the file was put into the bucket; without `patience`, what is known at once."""
    from function.bucket.image_bucket import image_store, image_urls
    from function.commands.submission import drop, faulty, results
    from function.store import S3Store, s3_client

    # By a name that goes with the content: under another the same would be drawn again, under the same it would not.
    digest = hashlib.sha256(body).hexdigest()[:16]
    key = f"{settings.prompt_prefix}{file.stem[:_STEM]}-{digest}{file.suffix}"
    if not key.endswith(settings.prompt_suffix):
        raise WrongSettings(f"DARKROOM_PROMPT_SUFFIX is {settings.prompt_suffix}, so that {file.name} is not read")
    ref = drop(S3Store(s3_client(), bucket), key, body)
    click.echo(f"{ref.uri} holds {_many(len(entries))}", err=True)
    if patience:
        store = image_store(settings)
        return results(store, image_urls(settings, store), ref, len(entries), timeout=patience)
    return faulty(ref, entries)


def _sent(
    settings: Settings, to: str, body: bytes, entries: Entries, concurrency: int, patience: int | None
) -> Iterator[Came | None]:
    """What became of the prompts as each is sent; without `patience`, what the answers say."""
    from function.bootstrap import sink_of
    from function.bucket.image_bucket import image_store, image_urls
    from function.commands.submission import Asking, recorded

    asking = Asking(sink_of(settings, to), body, entries, patience=settings.render_limit)
    for came in asking(concurrency):
        if came or not patience:
            yield came
    if patience and asking.open:
        store = image_store(settings)
        yield from recorded(store, image_urls(settings, store), asking.open, timeout=patience)


def _many(count: int) -> str:
    return "1 prompt" if count == 1 else f"{count} prompts"


def _only_bucket(settings: Settings) -> str:
    if len(settings.prompt_buckets) != 1:
        raise click.UsageError("name the bucket with --bucket, or a broker's ingress with --to")
    return settings.prompt_buckets[0]


def _tell(came: Iterable[Came | None], total: int, *, as_json: bool) -> Iterator[bool]:
    """Print each outcome; whether it is a failure."""
    with _progress(total) as step:
        for one in came:
            if one is None:
                step("")
                continue
            said = {"index": one.index, "outcome": one.event, "refusal": one.refusal or None}
            step(json.dumps(said) if as_json else printable(_line(one)))
            yield not one.good


def _line(came: Came) -> str:
    if came.event is None:
        return f"prompt {came.index}: {came.refusal}"
    data: dict[str, Any] = came.event["data"]
    if "code" in data:
        return f"prompt {came.index}: {data['code']}, {data['message']}"
    images = ", ".join(f"{image['uri']} seed {image['seed']}" for image in data["images"])
    return f"prompt {came.index}: {images}"


@contextmanager
def _progress(total: int) -> Iterator[Step]:
    """Prints lines; on a terminal they stay above a progress bar."""
    if not sys.stderr.isatty():
        yield lambda line: click.echo(line) if line else None
        return
    with click.progressbar(length=total, label="submit", file=sys.stderr, show_pos=True) as bar:

        def step(line: str) -> None:
            if line:
                click.echo("\r\033[K", nl=False, err=True)
                click.echo(line)
            bar.update(1)

        yield step
