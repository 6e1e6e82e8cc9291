"""Patience with the store once something is drawn: to wait a little costs less than to draw it again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

import stamina

from function.errors import AccessDenied, BucketMissing, StoreDown

# Seconds, beside those of the S3 client. A slow store takes it within them; one that is away mostly stays away, and
# whoever waits for it holds the slot, so that nobody sees at once that it is back.
STORE_PATIENCE: Final = 10.0
# Between two tries: short enough that nobody waits long for a store that is back.
_LONGEST_PAUSE: Final = 2.0

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


def _passes(error: Exception) -> bool:
    return isinstance(error, StoreDown) and not isinstance(error, AccessDenied | BucketMissing)
