"""Fixtures of the backstops' tests."""

from __future__ import annotations

from tests.backstops.house import house

__all__ = ["house"]
