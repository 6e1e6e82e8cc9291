"""The settings: names that set nothing are the faults that nobody finds otherwise."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping

from function.config import unknown
from function.doctor.finding import Check, Finding

KNOWN = Check("settings-known", "every `DARKROOM_` variable sets something", "it is unset, or named as it should be")


class SettingsExamination:
    """The environment that the other examinations are about."""

    name = "settings"
    checks = (KNOWN,)
    seconds = 10.0

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def run(self) -> Iterator[Finding]:
        for sentence in unknown(self._environment):
            # A variable may have any name, which is no word of the shell then.
            name = shlex.quote(sentence.partition(" sets nothing")[0])
            yield KNOWN.wrong(sentence, f"unset {name}  # in a pod: enableServiceLinks: false, if no setting was meant")
        if not unknown(self._environment):
            yield KNOWN.ok("every DARKROOM_ variable sets something")
