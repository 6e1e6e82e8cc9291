"""Patience with the store: until it is there, and once something is drawn, since drawing it again costs more."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

import stamina

from function.errors import AccessDenied, BucketMissing, StoreDown

# Seconds, beside those of the S3 client. A slow store takes it within them; one that is away mostly stays away, and
# whoever waits for it holds the slot, so that nobody sees at once that it is back.
STORE_PATIENCE: Final = 10.0
# Between two tries: short enough that nobody waits long for a store that is back.
_LONGEST_PAUSE: Final = 2.0
# Between two looks for a store that is not there yet.
_LOOK_AGAIN: Final = 5.0

T = TypeVar("T")


def patiently(call: Callable[[], T], seconds: float, between: Callable[[], None]) -> T:
    """What `call` returns, begun again for `seconds` while the store is away or slow; `between` may end it."""
    result: T
    for attempt in stamina.retry_context(
        on=_passes,
        attempts=None if seconds > 0 else 1,
        timeout=seconds if seconds > 0 else None,
        wait_initial=0.2,
        wait_max=_LONGEST_PAUSE,
    ):
        with attempt:
            if attempt.num > 1:
                between()
            result = call()
    return result


def once_there(call: Callable[[], T], away: Callable[[StoreDown], None]) -> T:
    """What `call` returns, begun again for as long as the store does not do as asked; `away` hears each time why."""
    while True:
        try:
            return call()
        except StoreDown as error:
            away(error)
        time.sleep(_LOOK_AGAIN)


def _passes(error: Exception) -> bool:
    return isinstance(error, StoreDown) and not isinstance(error, AccessDenied | BucketMissing)
