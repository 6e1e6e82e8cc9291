"""What was loaded stays loaded for the next prompt, as far as there is room."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class _Item:
    value: Any
    size: int
    drop: Callable[[], None]


class Kept:
    """Keeps at most `room` bytes between prompts; what was used last goes last."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._items: dict[Hashable, _Item] = {}
        self._taken: set[Hashable] = set()

    @contextmanager
    def during_a_prompt(self) -> Iterator[Callable[..., Any]]:
        """Give what takes things, loaded now or before; none of them goes before the prompt ends, room or no room."""

        def take(key: Hashable, size: int, load: Callable[[], Any], drop: Callable[[], None] = lambda: None) -> Any:
            self._taken.add(key)
            item = self._items.pop(key, None)
            if item is None:
                self._shrink(self._room - size)
                item = _Item(load(), size, drop)
            self._items[key] = item
            return item.value

        try:
            yield take
        finally:
            self._taken.clear()
            self._shrink(self._room)

    def let_go(self) -> None:
        """Keep nothing but what the prompt of the moment has taken."""
        self._shrink(0)

    def _shrink(self, room: int) -> None:
        for key in [key for key in self._items if key not in self._taken]:
            if sum(item.size for item in self._items.values()) <= room:
                return
            self._items.pop(key).drop()
