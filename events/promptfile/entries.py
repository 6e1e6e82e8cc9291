"""What a prompt file comes to: its prompts, counted at once and built one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from events.prompt import Fault
from events.promptfile.template import Defaults, Entry, Template, template_of
from events.promptfile.written import Document, InvalidPromptFile


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is taken of one file: `size` in bytes, `prompts` as written, `expanded` with matrix and runs."""

    size: int = 1 << 20
    prompts: int = 10_000
    expanded: int = 10_000


DEFAULTS: Final = Limits()


class Entries:
    """The prompts of a document in order, built anew at each iteration; `InvalidPromptFile` if it is over a limit."""

    def __init__(self, document: Document, limits: Limits) -> None:
        written = list(islice(document.written, limits.prompts + 1))
        if not written:
            raise InvalidPromptFile([Fault("", "the file holds no prompt")])
        if len(written) > limits.prompts:
            raise InvalidPromptFile([Fault("", f"the file holds more than {limits.prompts} prompts; split it")])
        defaults = Defaults(document.defaults)
        if defaults.faults:
            raise InvalidPromptFile(defaults.faults)
        self._templates: list[Template] = []
        self._count = 0
        for each in written:
            template = template_of(each, defaults)
            self._templates.append(template)
            self._count += template.count
            if self._count > limits.expanded:
                message = f"matrix and runs make more than {limits.expanded} prompts of the file; split it"
                raise InvalidPromptFile([Fault("", message)])

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Entry]:
        for template in self._templates:
            yield from template
