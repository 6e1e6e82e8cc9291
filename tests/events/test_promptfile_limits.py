"""Prompt files that are too much: what is refused, and what the worst of the rest costs in time and memory."""

from __future__ import annotations

import json
import time
import tracemalloc
from collections.abc import Callable
from typing import Any, Final

import pytest

from events.prompt import canonical
from events.promptfile import DEFAULTS, Entries, InvalidPromptFile, Limits, expand, read
from tests.events.test_promptfile import refused

MIB: Final = 1 << 20
MANY: Final = 10_000

LINE: Final = "a red star number {} on a black background, oil on canvas"
FILES: Final[dict[str, Callable[[int], str]]] = {
    "a.json": lambda count: json.dumps([{"prompt": LINE.format(n), "seed": n} for n in range(count)]),
    "a.jsonl": lambda count: "".join(json.dumps({"prompt": LINE.format(n), "seed": n}) + "\n" for n in range(count)),
    "a.yaml": lambda count: "".join(f"- prompt: {LINE.format(n)}\n  seed: {n}\n" for n in range(count)),
    "a.csv": lambda count: "prompt,seed\n" + "".join(f'"{LINE.format(n)}",{n}\n' for n in range(count)),
    "a.txt": lambda count: "".join(f"{LINE.format(n)}\n" for n in range(count)),
}


def message(name: str, body: bytes | str, limits: Limits = DEFAULTS) -> str:
    """Why the file is refused as a whole."""
    with pytest.raises(InvalidPromptFile) as invalid:
        read(name, body if isinstance(body, bytes) else body.encode(), limits)
    return str(invalid.value)


def test_the_size_of_a_file() -> None:
    limits = Limits(size=20)
    assert len(read("a.txt", b"a" * 20, limits)) == 1
    assert message("a.txt", b"a" * 21, limits) == "the file is larger than 20 bytes; split it"
    assert message("a.json", b"[" * (MIB + 1)) == "the file is larger than 1048576 bytes; split it"


@pytest.mark.parametrize("name", FILES)
def test_how_many_prompts_are_written(name: str) -> None:
    limits = Limits(prompts=30)
    assert len(read(name, FILES[name](30).encode(), limits)) == 30
    assert message(name, FILES[name](31), limits) == "the file holds more than 30 prompts; split it"
    assert len(expand([{"prompt": "a"}] * 30, limits)) == 30
    with pytest.raises(InvalidPromptFile):
        expand([{"prompt": "a"}] * 31, limits)


def test_how_many_prompts_they_come_to() -> None:
    limits = Limits(expanded=12)
    matrix = {"a": [1, 2], "seed": [1, 2]}
    assert len(expand([{"prompt": "{a}", "matrix": matrix, "runs": 2}] + [{"prompt": "a"}] * 4, limits)) == 12
    over: list[Any] = [
        [{"prompt": "{a}", "matrix": matrix, "runs": 2}] + [{"prompt": "a"}] * 5,
        {"prompt": "{a}", "matrix": matrix, "runs": 4},
        {"prompt": "a", "runs": 13},
        {"prompt": "a", "runs": 10**4000},
        {"prompt": "a", "matrix": {"seed": list(range(9_999))}, "runs": 10**4000},
    ]
    for value in over:
        text = json.dumps(value)
        assert message("a.json", text, limits) == "matrix and runs make more than 12 prompts of the file; split it"
    assert len(expand({"prompt": "a", "runs": MANY})) == MANY
    assert refused("a.json", '{"prompt": "a", "runs": 10001}')


def test_what_is_repeated_has_at_most_64_kib() -> None:
    def entry(size: int) -> dict[str, Any]:
        value = {"prompt": "a", "matrix": {"width": ["", "b"]}}
        value["matrix"]["width"][0] = "x" * (size - len(canonical(value)))  # type: ignore[index]
        assert len(canonical(value)) == size
        return value

    assert len(expand(entry(1 << 16))) == 2
    (failed,) = expand([{"prompt": "a"} | entry((1 << 16) + 1)])
    assert [str(fault) for fault in failed.faults] == ["[0]: must have at most 65536 bytes of JSON, for it is repeated"]
    (failed,) = expand({"prompt": "a" * 66_000, "runs": 2})
    assert {fault.where for fault in failed.faults} == {"", "prompt"}
    (alone,) = expand({"prompt": "a" * 66_000})
    assert {fault.where for fault in alone.faults} == {"prompt"}
    assert "defaults: must have" in message(
        "a.json", json.dumps({"defaults": {"prompt": "a" * 66_000}, "prompts": [{}]})
    )


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_ten_thousand(name: str) -> None:
    body = FILES[name](MANY).encode()
    began = time.process_time()
    assert not any(entry.faults for entry in read(name, body))
    seconds = time.process_time() - began
    tracemalloc.start()
    entries = read(name, body)
    count = sum(1 for _ in entries)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    print(f"{name}: {count} prompts of {len(body)} bytes: {seconds:.2f} s, {peak / MIB:.1f} MiB")
    assert count == len(entries) == MANY
    assert seconds < 5
    assert peak < 16 * MIB


def test_what_expands_is_built_one_at_a_time() -> None:
    values = [f"{LINE} {n}" for n in range(100)]
    body = json.dumps({"prompt": "{a} {b}", "matrix": {"a": values, "b": values}}).encode()
    tracemalloc.start()
    entries = read("a.json", body)
    count = sum(1 for _ in entries)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    print(f"{count} prompts of a matrix of {len(body)} bytes: {peak / MIB:.2f} MiB")
    assert count == len(entries) == MANY
    assert peak < MIB


def shared(count: int) -> dict[str, list[int]]:
    return {f"{n}": [1] for n in range(count)}


HELD: Final = "".join(f"{{{n}}}" for n in range(820))
BOMBS: Final[dict[str, tuple[str, str]]] = {
    "aliases": ("a.yaml", "a: &a [x]\n" + "".join(f"{n}b: &{n} [*a, *a]\n" for n in range(9))),
    "[": ("a.yaml", "[" * MIB),
    "[ on lines": ("a.yaml", "[\n" * (MIB // 2)),
    "{": ("a.yaml", "{a: " * (MIB // 4)),
    "- -": ("a.yaml", "- " * (MIB // 2)),
    "? ?": ("a.yaml", "? " * (MIB // 2)),
    "numbers": ("a.yaml", "[" + "1," * (MIB // 2 - 1) + "]"),
    "anchors": ("a.yaml", "[" + "&a 1," * (MIB // 6) + "]"),
    "keys": ("a.yaml", "\n".join(f"k{n}: {n}" for n in range(70_000))),
    "keys on a line": ("a.yaml", "{" + ", ".join(f"k{n}: {n}" for n in range(65_000)) + "}"),
    "tag directives": ("a.yaml", "\n".join(f"%TAG !{n}! b" for n in range(60_000))),
    "documents": ("a.yaml", "---\n" * (MIB // 4)),
    "a long text": ("a.yaml", "a\n" * (MIB // 2)),
    "a long number": ("a.yaml", "1" * MIB),
    "a long hexadecimal": ("a.yaml", "0x" + "f" * (MIB - 2)),
    "a long JSON number": ("a.json", "1" * MIB),
    "nested JSON": ("a.json", "[" * MIB),
    "lines of numbers": ("a.jsonl", "1\n" * (MIB // 2)),
    "lines of strange fields": ("a.jsonl", (json.dumps({f"x{n}": n for n in range(10)}) + "\n") * MANY),
    "strange fields": ("a.json", json.dumps({f"x{n}": n for n in range(60_000)})),
    "open quotes": ("a.csv", "prompt\n" + '"\n' * (MIB // 2 - 4)),
    "one open quote": ("a.csv", 'prompt\n"' + "a\n" * (MIB // 2 - 8)),
    "columns": ("a.csv", ",".join(f"x{n}" for n in range(140_000))),
    "commas": ("a.csv", "prompt\n" + "," * (MIB - 8)),
    "a square": ("a.json", json.dumps({"prompt": "{a}" * 8000, "matrix": {"a": ["x" * 30_000]}})),
    "a square of fields": ("a.json", json.dumps({"matrix": {"prompt": ["{a}" * 8000], "a": ["x" * 30_000]}})),
    "a long matrix": ("a.json", json.dumps({"prompt": HELD, "matrix": shared(820), "runs": MANY})),
    "a long matrix that all share": (
        "a.json",
        json.dumps({"defaults": {"matrix": shared(6000)}, "prompts": [{"prompt": "a"}] * MANY}),
    ),
    "a long matrix that all use": (
        "a.json",
        json.dumps({"defaults": {"prompt": HELD, "matrix": shared(820)}, "prompts": [{}] * MANY}),
    ),
    "strange defaults": (
        "a.json",
        json.dumps({"defaults": {f"x{n}": 1 for n in range(6000)}, "prompts": [{}] * MANY}),
    ),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_costs_seconds_and_little_memory(bomb: str) -> None:
    name, text = BOMBS[bomb]
    body = text.encode()
    assert len(body) <= MIB
    entries: Entries | None = None
    bad = largest = 0
    why = ""
    began = time.process_time()
    try:
        entries = read(name, body)
        for entry in entries:
            bad += bool(entry.faults)
            # More would be stored for each than anybody has written.
            largest = max(largest, len(canonical(entry.received)) if len(entries) > 1 else 0)
    except InvalidPromptFile as invalid:
        why = str(invalid)
    seconds = time.process_time() - began
    print(f"{bomb}: {seconds:.2f} s; {f'{len(entries)} prompts, {bad} of them bad' if entries else why[:60]}")
    assert seconds < 30
    assert largest <= 1 << 17
    assert len(why) < 1 << 15
