"""What is wrong with a prompt."""

from __future__ import annotations

import pytest

from events.prompt import InvalidPrompt, validate


def faults_of(received: object) -> dict[str, str]:
    """What is wrong, by where it is; fails if nothing is."""
    with pytest.raises(InvalidPrompt) as invalid:
        validate(received)
    assert invalid.value.faults
    return {fault.where: fault.message for fault in invalid.value.faults}
