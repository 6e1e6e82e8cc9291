"""The commands for what was given up on, `darkroom replay`, and for what has failed, `darkroom retry`."""

from __future__ import annotations

import os
import re
from contextlib import ExitStack
from typing import BinaryIO, Final, TextIO

import click

from function.commands.status import KEY
from function.config import Settings
from function.extras import needs

ALL: Final = "all"


def _key(_context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    without = value is None or (value == ALL and isinstance(parameter, click.Option))
    if not without and not KEY.fullmatch(str(value)):
        raise click.BadParameter("a key has 64 hex digits")
    return value


def url(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None and not re.match(r"https?://[^/\s]", value):
        raise click.BadParameter("a URL begins with http:// or https://")
    return value


def _properties(_context: click.Context, _parameter: click.Parameter, file: TextIO | None) -> dict[str, str]:
    """As Java's clients and librdkafka's own programs have them: a line for each, # for what is none."""
    found = {}
    for line in map(str.strip, file or ()):
        if line and not line.startswith("#"):
            name, is_set, value = line.partition("=")
            if not is_set:
                raise click.BadParameter(f"{name} has no value; each line is name=value")
            found[name.strip()] = value.strip()
    return found


_TO = click.option("--to", metavar="URL", callback=url, help="Instead of K_SINK; DARKROOM_DOOR_TOKEN goes along.")


@click.command()
@click.argument("files", nargs=-1, type=click.File("rb"))
@click.option("--archive", is_flag=False, flag_value=ALL, callback=_key, metavar="[KEY]", help="What archive has kept.")
@click.option("--kafka-topic", metavar="NAME", help="All that is in a topic now.")
@click.option("--kafka-bootstrap", metavar="HOST:PORT", help="Where Kafka is.")
@click.option("--kafka-config", type=click.File(), callback=_properties, help="librdkafka's properties, name=value.")
@_TO
@click.option("--dry-run", is_flag=True, help="Only say what would be sent.")
def replay(
    files: tuple[BinaryIO, ...],
    archive: str | None,
    kafka_topic: str | None,
    kafka_bootstrap: str | None,
    kafka_config: dict[str, str],
    to: str | None,
    *,
    dry_run: bool,
) -> None:
    """Send dead letters again: those in FILES (- is stdin; one event in each, or one a line), an archive or a topic.

    What has its outcome is told again and not drawn again, so a replay may be repeated.
    """
    from function.letters import replaying

    if sum(map(bool, (files, archive, kafka_topic))) != 1:
        raise click.UsageError("name either files, or --archive, or --kafka-topic")
    settings = Settings.from_environment(os.environ)
    with ExitStack() as stack:
        if kafka_topic:
            needs("kafka", "confluent_kafka")
            if not kafka_bootstrap:
                raise click.UsageError("--kafka-topic needs --kafka-bootstrap")
            letters = stack.enter_context(replaying.from_topic(kafka_topic, kafka_bootstrap, kafka_config))
        elif archive:
            letters = replaying.from_archive(settings, "" if archive == ALL else archive)
        else:
            letters = replaying.from_files(files)
        if dry_run:
            replaying.show(letters)
        else:
            replaying.replay(letters, settings, to)


@click.command()
@click.argument("key", callback=_key)
@_TO
def retry(key: str, to: str | None) -> None:
    """Ask once more for what is recorded under KEY, and print the key under which it is drawn."""
    from events.asking import requested
    from function.bootstrap import sink_of
    from function.bucket.image_bucket import image_store
    from function.commands.retry import NothingToRetry, next_retry

    settings = Settings.from_environment(os.environ)
    sink = sink_of(settings, to)
    try:
        request = next_retry(image_store(settings), key)
    except NothingToRetry as error:
        raise click.ClickException(str(error)) from None
    sink.tell(requested(request))
    click.echo(request.key)
