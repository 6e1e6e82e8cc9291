"""Replaying: dead letters are sent again as they were, from wherever they were kept."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any, BinaryIO, Final

import click

from events.envelope import NotACloudEvent
from function.bootstrap import sink_of
from function.bucket.image_bucket import image_store
from function.config import Settings
from function.errors import SinkDown, SinkRefused
from function.letters import Letter, in_archive, in_text, names, reason, revived

# Letters between two lines of progress where no terminal shows a bar.
STRIDE: Final = 100
# Letters in a row that cannot be delivered, after which the sink is taken to be away.
IN_A_ROW: Final = 5

# How many letters there are, at most, and the letters.
Letters = tuple[int, Iterable[Letter]]


def from_files(files: Iterable[BinaryIO]) -> Letters:
    found = [letter for file in files for letter in in_text(file.name, file.read())]
    return len(found), found


def from_archive(settings: Settings, key: str) -> Letters:
    """All that `darkroom archive` has kept, or what it has of one key."""
    store = image_store(settings)
    kept = names(store, key)
    return len(kept), in_archive(store, kept)


@contextmanager
def from_topic(name: str, bootstrap: str, properties: Mapping[str, str]) -> Iterator[Letters]:
    from function.letters.topic import Topic

    with closing(Topic(name, bootstrap, properties)) as topic:
        yield len(topic), topic


def show(letters: Letters) -> None:
    """Say of each letter what it is and why it was given up."""
    for letter in letters[1]:
        try:
            event = letter.event()
        except NotACloudEvent as error:
            click.echo(f"{letter.name}: no event: {error}")
        else:
            click.echo(f"{letter.name}: {event['type']} {event['id']} from {event['source']}, {reason(event)}")


def replay(letters: Letters, settings: Settings, to: str | None) -> None:
    """Send each letter as it was before it was given up; what is not taken is told, and the rest goes on."""
    # Overrides are for what a source says itself.
    sink = sink_of(settings.model_copy(update={"ce_overrides": {}}), to)
    total, sent, not_taken, in_a_row = letters[0], 0, 0, 0
    with _progress(total) as step:
        for letter in letters[1]:
            try:
                sink.tell(revived(letter.event()))
                sent, in_a_row = sent + 1, 0
            except (NotACloudEvent, SinkDown) as error:
                not_taken += 1
                click.echo(f"{letter.name} was not taken: {error}", err=True)
                in_a_row = in_a_row + 1 if _away(error) else 0
                if in_a_row == IN_A_ROW:
                    break
            step()
    if not_taken:
        left = total - sent - not_taken
        tried = f", {left} not tried: the sink is away" if left else ""
        raise click.ClickException(f"{sent} sent, {not_taken} not taken{tried}")
    click.echo(f"{sent} sent")


def _away(error: Exception) -> bool:
    return isinstance(error, SinkDown) and not isinstance(error, SinkRefused)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], Any]]:
    """A progress bar on a terminal, a line at every hundredth letter elsewhere."""
    if sys.stderr.isatty():
        with click.progressbar(length=total, label="replay", file=sys.stderr, show_pos=True) as bar:
            yield lambda: bar.update(1)
        return
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        if done % STRIDE == 0:
            click.echo(f"{done} of {total}", err=True)

    yield step
