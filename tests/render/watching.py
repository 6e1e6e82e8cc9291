"""What torch calls, seen by its own hooks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch


@contextmanager
def before_each(kind: type[torch.nn.Module], do: Callable[[torch.nn.Module], None]) -> Iterator[None]:
    """Have this done with each module of that kind before it is called, whoever calls it."""

    def before(module: torch.nn.Module, _arguments: object) -> None:
        if isinstance(module, kind):
            do(module)

    hook = torch.nn.modules.module.register_module_forward_pre_hook(before)
    try:
        yield
    finally:
        hook.remove()
