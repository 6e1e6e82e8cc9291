"""What is done with an event: answer, claim, render, mark, store, tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from function.func import Function

__all__ = ["new"]
__version__ = "0.1.0"


def new() -> Function:
    """The factory that Knative's `func` middleware looks for; it insists on this name in this place."""
    from function.func import new as create

    return create()
