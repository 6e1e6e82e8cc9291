"""From an entry as written to the prompts that its `matrix` and `runs` make of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from events.prompt import MAX_FAULTS, Fault, Prompt, canonical, faults_of
from events.promptfile.matrix import Matrix
from events.promptfile.written import Written

EXPANDING: Final = ("matrix", "runs")
# Bytes of JSON: what is written once is stored with every prompt that is made of it.
MAX_TEMPLATE: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Entry:
    """One prompt as received, with defaults, matrix and runs applied, and everything that is wrong with it."""

    received: object
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True)
class Template:
    """What the prompts of one entry have in common, and what sets them apart."""

    where: str
    received: Any
    matrix: Matrix | None = None
    runs: int = 1
    faults: tuple[Fault, ...] = ()

    @property
    def count(self) -> int:
        return (self.matrix.count if self.matrix else 1) * self.runs

    def __iter__(self) -> Iterator[Entry]:
        if self.faults:
            yield Entry(self.received, self.faults)
            return
        for prompt in self.matrix.applied(self.received) if self.matrix else (self.received,):
            for run in range(self.runs):
                received = _seeded(prompt, run)
                yield Entry(received, _placed(self.where, faults_of(received)))


class Defaults:
    """What is under every entry; `faults` is what is wrong with it wherever it is."""

    def __init__(self, written: Mapping[str, Any]) -> None:
        self.received = written
        self.matrix = Matrix.of(written["matrix"]) if "matrix" in written else None
        # Any prompt will do, and more than none: they need not have one.
        prompt = {"prompt": "any"} | {name: value for name, value in written.items() if name not in EXPANDING}
        faults = (
            *_size_faults(written),
            *(self.matrix.faults if self.matrix else ()),
            *_runs_faults(written.get("runs", 1)),
            *faults_of(prompt),
        )
        self.faults = _placed("defaults", faults[:MAX_FAULTS])


def template_of(written: Written, defaults: Defaults) -> Template:
    """The entry with `defaults` under it.

    What is wrong whatever the matrix chooses makes it one prompt that fails, as it was written, instead of as many as
    it would have made.
    """
    where, value = written.where, written.value
    if written.faults or not isinstance(value, dict):
        return Template(where, value, faults=_placed(where, written.faults))
    received = {**defaults.received, **value}
    if received.keys().isdisjoint(EXPANDING):
        return Template(where, received)
    prompt = {name: value for name, value in received.items() if name not in EXPANDING}
    matrix = Matrix.of(value["matrix"]) if "matrix" in value else defaults.matrix
    chosen = matrix.values.keys() & Prompt.model_fields.keys() if matrix else ()
    runs = received.get("runs", 1)
    faults = (
        *_size_faults(value),
        *(matrix.faults_in(prompt) if matrix else ()),
        *_runs_faults(runs),
        *(fault for fault in faults_of(prompt) if fault.where.partition(".")[0] not in chosen),
    )
    if faults:
        return Template(where, value, faults=_placed(where, faults[:MAX_FAULTS]))
    return Template(where, prompt, matrix, runs)


def _runs_faults(runs: object) -> Iterator[Fault]:
    if type(runs) is not int or runs < 1:
        yield Fault("runs", "must be a whole number of at least 1")


def _size_faults(value: object) -> Iterator[Fault]:
    if len(canonical(value)) > MAX_TEMPLATE:
        yield Fault("", f"must have at most {MAX_TEMPLATE} bytes of JSON, for it is repeated")


def _seeded(prompt: Any, run: int) -> Any:
    """The prompt in its run `run`: a given seed moves on past the pictures of the runs before."""
    if run == 0 or type(seed := prompt.get("seed")) is not int or not 0 <= seed < 2**64:
        return prompt
    pictures = prompt.get("num_images", 1)
    return {**prompt, "seed": (seed + run * (pictures if type(pictures) is int else 1)) % 2**64}


def _placed(where: str, faults: Iterable[Fault]) -> tuple[Fault, ...]:
    """The faults, each with its place in the file before its place in the prompt."""
    joint = ", " if where.startswith("line ") else "."
    return tuple(Fault(joint.join(filter(None, (where, fault.where))), fault.message) for fault in faults)
