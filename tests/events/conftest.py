"""How hypothesis looks for examples."""

from __future__ import annotations

from hypothesis import settings

# A loaded machine is no fault of an example.
settings.register_profile("patient", settings.get_profile(settings.get_current_profile_name()), deadline=None)
settings.load_profile("patient")
