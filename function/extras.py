"""What is only there if it was asked for."""

from __future__ import annotations

from importlib.util import find_spec

import click


def needs(extra: str, *modules: str) -> None:
    """Go on if these are installed; else the command ends with the name of the extra that brings them."""
    if missing := [name for name in modules if find_spec(name) is None]:
        raise click.ClickException(f"{', '.join(missing)} is not installed; install Darkroom with its extra [{extra}]")
