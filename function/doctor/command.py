"""The command `darkroom doctor`."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from typing import Final

import click

from function.config import Settings, WrongSettings
from function.doctor.capacity import Asked
from function.doctor.examinations import ALL, examinations
from function.doctor.examining import findings
from function.doctor.finding import Finding
from function.doctor.rights import IDENTITIES
from function.printing import printable

_MARKS: Final = {"ok": "ok     ", "wrong": "WRONG  ", "unknown": "?      ", "skipped": "-      "}


@click.command()
@click.option("--fix", is_flag=True, help="Make missing buckets, and have prompt buckets announce new objects.")
@click.option("--arn", metavar="ARN", help="Where they announce them to; else the only target that the server has.")
@click.option("--only", multiple=True, type=click.Choice([one.name for one in ALL]), help="Only this examination.")
@click.option(
    "--identity",
    default="all",
    show_default=True,
    type=click.Choice(tuple(IDENTITIES)),
    help="Whose rights are needed.",
)
@click.option("--namespace", metavar="NAME", help="Where Darkroom is; else the pod's own, KUBECONFIG's, or darkroom.")
@click.option(
    "--render-seconds", type=click.FloatRange(0, min_open=True), help="Seconds that one of your renders takes."
)
@click.option("--in-flight", default=1, show_default=True, type=click.IntRange(1), help="Requests at the same time.")
@click.option("--max-scale", type=click.IntRange(1), help="Pods of render, instead of what the cluster says.")
@click.option(
    "--cold-start", default=120.0, show_default=True, type=click.FloatRange(0), help="Seconds of a start from zero."
)
@click.option(
    "--patience",
    default=1.0,
    show_default=True,
    type=click.FloatRange(0, min_open=True),
    help="Times as long as usual for every answer.",
)
@click.option(
    "--format",
    "form",
    default="text",
    show_default=True,
    type=click.Choice(("text", "json")),
    help="For people or machines.",
)
def doctor(
    *,
    fix: bool,
    arn: str | None,
    only: tuple[str, ...],
    identity: str,
    namespace: str | None,
    render_seconds: float | None,
    in_flight: int,
    max_scale: int | None,
    cold_start: float,
    patience: float,
    form: str,
) -> None:
    """Say what is wrong with this installation, and the command that mends it.

    It runs in the cluster or outside, with the environment of the servers and, for the cluster, a service account or
    KUBECONFIG. Without --fix it leaves all as it is. It exits with 1 if something is wrong.
    """
    try:
        settings = Settings.from_environment(os.environ)
    except WrongSettings as error:
        raise click.ClickException(str(error)) from None
    asked = Asked(render_seconds, cold_start, in_flight, max_scale)
    found: dict[str, list[Finding]] = {}
    for examination in examinations(
        settings, asked, namespace=namespace, identity=identity, fix=fix, arn=arn, patience=patience
    ):
        if only and examination.name not in only:
            continue
        told = found.setdefault(examination.name, [])
        if form == "text":
            click.echo(examination.name)
        for finding in findings(examination, patience):
            told.append(finding)
            if form == "text":
                _show(finding)
    wrong = sum(finding.state == "wrong" for told in found.values() for finding in told)
    if form == "json":
        rows = [{"examination": name, **asdict(finding)} for name, told in found.items() for finding in told]
        click.echo(json.dumps({"wrong": wrong, "findings": rows}, indent=2))
    else:
        click.echo(f"{wrong} wrong" if wrong else "nothing is wrong")
    sys.exit(1 if wrong else 0)


def _show(finding: Finding) -> None:
    click.echo(f"  {_MARKS[finding.state]}{printable(finding.sentence)}")
    if finding.mend:
        click.echo(f"         $ {printable(finding.mend)}")
