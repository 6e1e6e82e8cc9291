"""Prompt files, written by independent writers and read again: every prompt is the same, every fault in its place."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from events.prompt import canonical, validate
from events.promptfile import Entry, read

Received = dict[str, Any]

TRICKY: Final = "\n\t\x7f\u2028\ufeff{}[]#,;:\"'|>&*!%@`-?~=\\ 01eE.\U0001f31f"
CHARACTERS: Final = st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from(TRICKY)
TEXTS: Final = st.text(CHARACTERS, max_size=40) | st.sampled_from(
    [
        "no",
        "on",
        "null",
        "true",
        "1e3",
        "0o7",
        "0x1F",
        "007",
        "-1",
        ".5",
        "2001-01-01",
        "12:30",
        "<<",
        "=",
        "---",
        "- a",
    ]
)
VALUES: Final[dict[str, st.SearchStrategy[Any]]] = {
    "negative_prompt": TEXTS | st.none(),
    "width": st.integers(8, 256).map(lambda n: 8 * n) | st.none(),
    "height": st.integers(8, 256).map(lambda n: 8 * n),
    "num_inference_steps": st.integers(1, 150),
    "guidance_scale": st.floats(0, 30) | st.integers(0, 30),
    "seed": st.integers(0, 2**64 - 1) | st.none(),
    "num_images": st.integers(1, 16),
    "scheduler": st.sampled_from(["DDIMScheduler", "EulerDiscreteScheduler"]),
}
# What no field takes, and any writer can write.
WRONG: Final = {
    "width": 65,
    "seed": -1,
    "guidance_scale": "x",
    "num_images": 17,
    "scheduler": "y",
    "prompt": "z" * 4001,
}

MANY: Final = settings(max_examples=300)
PROMPT: Final = st.fixed_dictionaries({"prompt": TEXTS.filter(str.strip)}, optional=VALUES)


@dataclass(frozen=True)
class Sent:
    """A prompt that is written, and the fields that were made wrong."""

    received: Received
    wrong: frozenset[str]

    @classmethod
    def of(cls, prompt: Received, wrong: frozenset[str]) -> Sent:
        return cls(prompt | {name: WRONG[name] for name in wrong}, wrong)


def sent(prompts: st.SearchStrategy[Received] = PROMPT) -> st.SearchStrategy[list[Sent]]:
    """Some prompts of which some are wrong."""
    wrong = st.just(frozenset[str]()) | st.frozensets(st.sampled_from(sorted(WRONG)), min_size=1)
    return st.lists(st.builds(Sent.of, prompts, wrong), min_size=1, max_size=6)


def check(entries: Sequence[Entry], every: Sequence[Sent], place: Callable[[int, str], str]) -> None:
    """Each entry is what was sent, and has faults in the wrong fields and in no other."""
    assert [canonical(entry.received) for entry in entries] == [canonical(one.received) for one in every]
    for index, (entry, one) in enumerate(zip(entries, every, strict=True)):
        assert {fault.where for fault in entry.faults} == {place(index, field) for field in one.wrong}
        assert all(fault.message for fault in entry.faults)


def in_list(index: int, field: str) -> str:
    return f"[{index}].{field}"


@given(PROMPT)
def test_the_prompts_of_these_tests_are_valid(prompt: Received) -> None:
    validate(prompt)


@MANY
@given(sent(), st.booleans(), st.sampled_from([None, 2]), st.sampled_from(["", "\ufeff"]))
def test_json(every: list[Sent], ascii_only: bool, indent: int | None, mark: str) -> None:  # noqa: FBT001
    text = json.dumps([one.received for one in every], ensure_ascii=ascii_only, indent=indent)
    check(list(read("a.json", (mark + text).encode())), every, in_list)


@MANY
@given(sent(), PROMPT, st.sampled_from(["a.json", "a.yaml"]))
def test_defaults(every: list[Sent], defaults: Received, name: str) -> None:
    text = json.dumps({"prompts": [one.received for one in every], "defaults": defaults}, ensure_ascii=False)
    if name == "a.yaml":
        text = in_yaml(json.loads(text), flow=False, ascii_only=True)
    merged = [Sent({**defaults, **one.received}, one.wrong) for one in every]
    check(list(read(name, text.encode())), merged, lambda index, field: f"prompts[{index}].{field}")


@MANY
@given(sent(), st.data())
def test_lines_of_json(every: list[Sent], data: st.DataObject) -> None:
    lines: list[str] = []
    at: list[int] = []
    broken: set[int] = set()
    for one in every:
        for noise in data.draw(st.lists(st.sampled_from(["", " \t", "{", '"a', "nul", "{'a': 1}"]), max_size=2)):
            lines.append(noise)
            broken |= {len(lines)} if noise.strip() else set()
        lines.append(json.dumps(one.received, ensure_ascii=data.draw(st.booleans())))
        at.append(len(lines))
    end = data.draw(st.sampled_from(["\n", "\r\n"]))
    entries = list(read("a.jsonl", end.join(lines).encode()))
    told = [entry for entry in entries if isinstance(entry.received, str)]
    assert {fault.where for entry in told for fault in entry.faults} == {f"line {number}" for number in broken}
    assert [entry.received for entry in told] == [lines[number - 1] for number in sorted(broken)]
    read_well = [entry for entry in entries if not isinstance(entry.received, str)]
    check(read_well, every, lambda index, field: f"line {at[index]}, {field}")


class Dumper(yaml.SafeDumper):
    """PyYAML's own writer, but for what version 1.1 of YAML takes for text and 1.2 for a number."""

    def ignore_aliases(self, data: Any) -> bool:
        del data
        return True


def quoted(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    number = text.lower().startswith(("0o", "0x")) or text in (".", "-", "+")
    try:
        float(text)
    except ValueError:
        pass
    else:
        number = True
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if number else None)


Dumper.add_representer(str, quoted)


def in_yaml(value: Any, *, flow: bool, ascii_only: bool) -> str:
    text: str = yaml.dump(value, Dumper=Dumper, default_flow_style=flow, allow_unicode=not ascii_only, sort_keys=False)
    return text


@MANY
@given(sent(), st.booleans(), st.booleans(), st.sampled_from(["a.yaml", "a.YML"]))
def test_yaml(every: list[Sent], flow: bool, ascii_only: bool, name: str) -> None:  # noqa: FBT001
    text = in_yaml([one.received for one in every], flow=flow, ascii_only=ascii_only)
    check(list(read(name, text.encode())), every, in_list)


@given(sent())
def test_json_is_yaml(every: list[Sent]) -> None:
    # Escaped, as Python writes it; but libyaml knows no halves of surrogate pairs.
    text = json.dumps([one.received for one in every], indent=1)
    if "\\ud" not in text:
        check(list(read("a.yaml", text.encode())), every, in_list)


# A cell can neither say that there is nothing, nor be empty and there.
CELLS: Final = PROMPT.map(lambda prompt: {name: value for name, value in prompt.items() if value not in (None, "")})


@MANY
@given(sent(CELLS), st.data())
def test_csv(every: list[Sent], data: st.DataObject) -> None:
    columns = data.draw(st.permutations(sorted({name for one in every for name in one.received})))
    stream = io.StringIO(newline="")
    end = data.draw(st.sampled_from(["\n", "\r\n"]))
    all_quoted = data.draw(st.booleans())
    writer = csv.writer(stream, quoting=csv.QUOTE_ALL if all_quoted else csv.QUOTE_MINIMAL, lineterminator=end)
    writer.writerow(columns)
    at, too_many = [], {}
    for one in every:
        for noise in data.draw(st.lists(st.sampled_from(["blank", "too many", "broken"]), max_size=2)):
            line = lines_in(stream)
            if noise == "blank":
                stream.write(data.draw(st.sampled_from([end, "," * (len(columns) - 1) + end])))
            elif noise == "broken":
                stream.write(f'"a"b{end}')
                too_many[line] = '"a"b'
            else:
                writer.writerow(["a\nb"] * (len(columns) + 1))
                too_many[line] = stream.getvalue().splitlines()[-1]
        at.append(lines_in(stream))
        texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in one.received.items()}
        writer.writerow([texts.get(name, "") for name in columns])
    entries = list(read("a.csv", stream.getvalue().encode()))
    told = [entry for entry in entries if isinstance(entry.received, str)]
    assert [fault.where for entry in told for fault in entry.faults] == [f"line {line}" for line in sorted(too_many)]
    assert all(str(entry.received).endswith(too_many[line]) for entry, line in zip(told, sorted(too_many), strict=True))
    read_well = [entry for entry in entries if not isinstance(entry.received, str)]
    check(read_well, every, lambda index, field: f"line {at[index]}, {field}")


def lines_in(stream: io.StringIO) -> int:
    """The number of the line that is written next."""
    return stream.getvalue().count("\n") + 1


@MANY
@given(st.lists(TEXTS.map(lambda text: text.replace("\n", " ")), min_size=1), st.sampled_from(["\n", "\r\n", "\n\n"]))
def test_txt(lines: list[str], end: str) -> None:
    kept = [
        (number, line.strip())
        for number, line in enumerate(end.join(lines).split("\n"), 1)
        if line.strip() and not line.strip().startswith("#")
    ]
    if kept:
        entries = list(read("a.txt", end.join(lines).encode()))
        check(entries, [Sent({"prompt": line}, frozenset()) for _, line in kept], in_list)


@given(st.lists(st.sampled_from(["a red star", "", "# c", "bad \x01", "b" * 4001]), min_size=1))
def test_wrong_lines_of_txt(lines: list[str]) -> None:
    kept = [(number, line) for number, line in enumerate(lines, 1) if line and line != "# c"]
    if kept:
        every = [Sent({"prompt": line}, frozenset({"prompt"} if line != "a red star" else ())) for _, line in kept]
        check(list(read("a.txt", "\n".join(lines).encode())), every, lambda i, field: f"line {kept[i][0]}, {field}")


@pytest.mark.parametrize("name", ["a.json", "a.yaml"])
def test_a_single_prompt(name: str) -> None:
    (entry,) = read(name, b'{"prompt": "a", "width": 65}')
    check([entry], [Sent({"prompt": "a", "width": 65}, frozenset({"width"}))], lambda _, field: field)
