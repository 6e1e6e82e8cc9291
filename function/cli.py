"""The command line, `darkroom`."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import click

from events.contract import PUBLISHED, published
from function import __version__
from function.commands import backstops
from function.commands.inspecting import inspect
from function.commands.prefetch import prefetch
from function.commands.submitting import submit
from function.commands.verifying import verify
from function.config import Settings, WrongSettings, unknown
from function.doctor.command import doctor
from function.errors import DarkroomError
from function.extras import needs
from function.render.weights import ModelUnavailable

if TYPE_CHECKING:
    from function.bootstrap import Function


class _OneSentence(click.Group):
    """Commands whose user is told in one sentence what was wrong."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (DarkroomError, ModelUnavailable, WrongSettings) as error:
            raise click.ClickException(str(error)) from None


@click.group(cls=_OneSentence, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="darkroom")
def main() -> None:
    """Drop a prompt into a bucket, or publish it to a broker; get a picture and a completion event."""
    # A container's first process is deaf to SIGTERM unless it listens. Servers and the sweep do so in their own way.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@main.command()
def render() -> None:
    """Answer CloudEvents: the Knative Service."""
    _serve(standalone=False)


@main.command()
def serve() -> None:
    """All doors in one process, for one machine without a broker."""
    _serve(standalone=True)


@main.command()
@click.option("--only-drop", is_flag=True, help="Serve POST /drop alone, with a token: the door for outsiders.")
def intake(*, only_drop: bool) -> None:
    """Read prompt files and publish one request per prompt; needs no GPU and no torch."""
    from function.bootstrap import build_intake

    settings = _settings()
    _needs_buckets(settings)
    built = build_intake(settings, only_drop=only_drop)
    _warn_of_open_door(settings)
    _run(built, settings)


@main.command()
def archive() -> None:
    """Keep dead letters in the image bucket: the dead-letter sink of brokers and Triggers."""
    from function.bootstrap import build_archive

    settings = _settings()
    _run(build_archive(settings), settings)


@main.command()
def sweep() -> None:
    """Announce forgotten files and tell untold outcomes, once; for a CronJob beside a broker."""
    from function.bootstrap import build_sweep
    from function.logs import configure

    settings = _settings()
    _needs_buckets(settings)
    configure(settings.log_format)
    swept = build_sweep(settings)
    signal.signal(signal.SIGTERM, lambda _number, _frame: swept.stop())
    postponed = swept()
    if swept.stopped:
        raise click.ClickException("told to stop; what is left is for the next sweep")
    if postponed:
        raise click.ClickException(
            f"{postponed} things could not be done now; the log says which, the next sweep tries"
        )


def _serve(*, standalone: bool) -> None:
    from function.bootstrap import build

    needs("render", "torch", "diffusers", "transformers")

    settings = _settings()
    if standalone:
        _needs_buckets(settings)
    if standalone or settings.generate:
        _warn_of_open_door(settings)
    _run(build(settings, standalone=standalone), settings)


def _settings() -> Settings:
    settings = Settings.from_environment(os.environ)
    for sentence in unknown(os.environ):
        click.echo(f"warning: {sentence}", err=True)
    return settings


def _needs_buckets(settings: Settings) -> None:
    if not settings.prompt_buckets:
        raise click.ClickException("DARKROOM_PROMPT_BUCKETS is not set; name the buckets that prompts are dropped into")


def _warn_of_open_door(settings: Settings) -> None:
    if settings.door_token is None:
        click.echo(
            "warning: DARKROOM_DOOR_TOKEN is not set; whoever reaches the doors can have pictures drawn", err=True
        )


def _run(built: Function, settings: Settings) -> None:
    from function.doors.server import leave
    from function.doors.server import serve as run
    from function.logs import configure

    configure(settings.log_format)
    built.start()
    leave(run(built.app, settings, built.health, built.load))


@main.command()
@click.option("--check", is_flag=True, help="Fail on unknown DARKROOM_* variables.")
def config(*, check: bool) -> None:
    """Show the effective settings, secrets masked."""
    settings = Settings.from_environment(os.environ)
    for name, value in settings.shown().items():
        click.echo(f"{name}={'' if value is None else value}")
    if check and (sentences := unknown(os.environ)):
        raise click.ClickException("; ".join(sentences))


@main.command()
@click.argument("what", metavar="OBJECT|KEY")
def status(what: str) -> None:
    """Say what became of a dropped OBJECT (bucket/key or s3://bucket/key) or of a request's KEY."""
    from function.bucket.image_bucket import image_store
    from function.commands.status import describe
    from function.ledger import Ledger
    from function.store import S3Store, s3_client

    settings = Settings.from_environment(os.environ)
    ledger = Ledger(image_store(settings), lease=settings.lease)
    lines = describe(
        what,
        ledger,
        lambda bucket: S3Store(s3_client(), bucket),
        settings.prompt_limits,
        horizon=settings.horizon,
    )
    for line in lines:
        click.echo(line)


_KEPT = {True: "ok    ", False: "BROKEN", None: "?     "}


@main.command("check-store")
@click.option(
    "--racers", default=32, show_default=True, type=click.IntRange(2, 256), help="Simultaneous creates of a key."
)
@click.option("--keys", default=20, show_default=True, type=click.IntRange(1), help="Keys that are raced for.")
def check_store(*, racers: int, keys: int) -> None:
    """Prove on the image bucket that the store keeps the promises that Darkroom stands on."""
    from function.bucket.image_bucket import check_image_store

    broken, untried = 0, 0
    for finding in check_image_store(Settings.from_environment(os.environ), racers, keys):
        click.echo(f"{_KEPT[finding.kept]}  {finding}")
        broken += finding.kept is False
        untried += finding.kept is None
    if broken:
        raise click.ClickException(f"the store broke {broken} of its promises; Darkroom cannot stand on it as it is")
    if untried:
        raise click.ClickException("not every promise could be tried; do what the line with ? says, and try again")


main.add_command(backstops.replay)
main.add_command(backstops.retry)
main.add_command(doctor)
main.add_command(inspect)
main.add_command(prefetch)
main.add_command(submit)
main.add_command(verify)


@main.command()
@click.argument("name", type=click.Choice(tuple(PUBLISHED)))
def schema(name: str) -> None:
    """Print the schema of a prompt or of an event's data, or all of it as an AsyncAPI document."""
    click.echo(published(name), nl=False)


@main.command()
@click.option("--keep", is_flag=True, help="Keep everything running, and say how to drop the next prompt.")
@click.option("--folder", default="demo", type=click.Path(path_type=str), help="Where pictures and data go.")
def demo(*, keep: bool, folder: str) -> None:
    """Start an S3 server and Darkroom, drop three prompts, and show what comes out."""
    from pathlib import Path

    needs("render", "torch", "diffusers", "transformers")
    needs("demo", "tqdm")
    from function.demo.story import run

    sys.exit(run(Path(folder), keep=keep))


if __name__ == "__main__":
    main()
