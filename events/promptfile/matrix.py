"""`matrix`: values for fields and for the `{placeholders}` in texts, of which every combination is a prompt."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from events.prompt import MAX_FAULTS, Fault, Prompt

PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")
# The fields that may hold placeholders, with how many characters each may have.
TEXTS: Final[Mapping[str, int]] = {
    name: kind["maxLength"]
    for name, schema in Prompt.model_json_schema()["properties"].items()
    for kind in schema.get("anyOf", [schema])
    if "maxLength" in kind
}


@dataclass(frozen=True, slots=True)
class Matrix:
    """Values for each name, looked through once however many entries share them.

    `longest` is the length of each placeholder's longest value, `held` are the placeholders in values of text fields.
    """

    values: Mapping[str, list[Any]]
    faults: tuple[Fault, ...]
    longest: Mapping[str, int]
    held: frozenset[str]
    count: int

    @classmethod
    def of(cls, written: object) -> Self:
        """The matrix as written, with what is wrong with it in whatever entry."""
        faults, values = [], {}
        for name, each in written.items() if isinstance(written, dict) else ():
            if not isinstance(each, list) or not each:
                faults.append(_fault(name, "must be a list of at least one value"))
            elif name in Prompt.model_fields or all(type(value) in (str, int, float) for value in each):
                values[name] = each
            else:
                faults.append(
                    _fault(name, "must be texts or numbers, for it is no field and stands for part of a text")
                )
        if not isinstance(written, dict):
            faults.append(Fault("matrix", 'must be an object such as {"animal": ["cat", "dog"]}'))
        longest = {
            name: max(len(str(value)) for value in each)
            for name, each in values.items()
            if name not in Prompt.model_fields
        }
        texts = [(name, text) for name in TEXTS for text in values.get(name, ()) if isinstance(text, str)]
        too_long = {name for name, text in texts if _filled_length(text, longest) > TEXTS[name]}
        faults += [
            _fault(name, f"must be texts of at most {TEXTS[name]} characters when filled in") for name in too_long
        ]
        held = frozenset(name for _, text in texts for name in PLACEHOLDER.findall(text))
        return cls(values, tuple(faults), longest, held, math.prod(map(len, values.values())))

    def faults_in(self, prompt: Mapping[str, Any]) -> Iterator[Fault]:
        """What keeps the matrix from being applied to the prompt."""
        yield from self.faults
        held = set(self.held)
        for name, limit in TEXTS.items():
            text = prompt.get(name)
            if name in self.values or not isinstance(text, str):
                continue
            held.update(PLACEHOLDER.findall(text))
            # Told before anything is filled in: a text of placeholders for long values would be the square of both.
            if len(text) <= limit < _filled_length(text, self.longest):
                yield Fault(name, f"must have at most {limit} characters with the matrix's longest values filled in")
        unused = (name for name in self.longest if name not in held)
        for name in itertools.islice(unused, MAX_FAULTS):
            yield _fault(name, "is no field, and no text holds it in braces")

    def applied(self, prompt: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """The prompt with every combination of the values, the last name's changing fastest."""
        fields = self.values.keys() & Prompt.model_fields.keys()
        for combination in itertools.product(*self.values.values()):
            chosen = dict(zip(self.values, combination, strict=True))
            filled = {**prompt, **{name: chosen.pop(name) for name in fields}}
            for name in TEXTS:
                if chosen and isinstance(text := filled.get(name), str):
                    filled[name] = _filled(text, chosen)
            yield filled


def _filled(text: str, chosen: Mapping[str, Any]) -> str:
    # In one go, so that braces in a value stay what they are.
    filled = PLACEHOLDER.sub(lambda found: str(chosen.get(found[1], found[0])), text)
    # Two halves of a surrogate pair that met become the one character that everybody else will read.
    return filled.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def _filled_length(text: str, longest: Mapping[str, int]) -> int:
    """The characters of the text with the longest values, but no less than it has as written."""
    held = [name for name in PLACEHOLDER.findall(text) if name in longest]
    return len(text) + sum(max(0, longest[name] - len(name) - 2) for name in held)


def _fault(name: str, message: str) -> Fault:
    return Fault(f"matrix.{name}"[:100], message)
