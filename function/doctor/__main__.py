"""`python -m function.doctor`."""

from __future__ import annotations

from function.doctor.command import doctor

doctor()
