"""Matrix and runs against an independent count and the plain loops that they stand for."""

from __future__ import annotations

import itertools
import json
from math import prod
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.prompt import Prompt
from events.promptfile import Entry, expand, read

NAMES: Final = ["animal", "style", "x", "", "two words", "\u661f"]
WORDS: Final = st.lists(
    st.text("ab {}", max_size=5) | st.just("{x}") | st.integers(-5, 5) | st.floats(0, 9), min_size=1, max_size=3
)
FIELDS: Final[dict[str, st.SearchStrategy[list[Any]]]] = {
    "seed": st.lists(st.integers(0, 2**64 - 1) | st.none() | st.just(-1), min_size=1, max_size=3),
    "num_images": st.lists(st.integers(1, 17), min_size=1, max_size=2),
    "guidance_scale": st.lists(st.floats(0, 30), min_size=1, max_size=2),
    "width": st.lists(st.sampled_from([64, 65, "64", None, [1]]), min_size=1, max_size=2),
}


def received(value: object) -> list[Any]:
    """The prompts that come of it, in which nothing is wrong."""
    entries = list(expand(value))
    assert [entry.faults for entry in entries] == [()] * len(entries)
    return [entry.received for entry in entries]


def failed(value: object) -> dict[str, str]:
    """What is wrong, by where, with what comes to one prompt that fails, told as it was written."""
    (entry,) = expand(value)
    assert entry.received == value
    assert entry.faults
    return {fault.where: fault.message for fault in entry.faults}


def test_the_example_of_the_issue() -> None:
    matrix = {"animal": ["cat", "dog"], "style": ["oil", "ink", 3]}
    assert received({"prompt": "a {animal} in {style}, {animal}!", "matrix": matrix}) == [
        {"prompt": f"a {animal} in {style}, {animal}!"} for animal in ("cat", "dog") for style in ("oil", "ink", "3")
    ]


def test_a_name_of_a_field_sets_it_and_no_text() -> None:
    matrix: dict[str, list[Any]] = {
        "seed": [1, None],
        "guidance_scale": [0.5],
        "prompt": ["a {seed} {x}", "b {x}"],
        "x": ["{seed}", 1.5],
    }
    assert received({"seed": 9, "matrix": matrix}) == [
        {"seed": seed, "guidance_scale": 0.5, "prompt": text.replace("{x}", str(x))}
        for seed, _, text, x in itertools.product(*matrix.values())
    ]


def test_every_text_has_its_placeholders_filled_and_other_braces_stay() -> None:
    entry = {"prompt": "{{a}} {b} {a }{} {a", "negative_prompt": "no {a}}", "matrix": {"a": ["{b}", "\\1"]}}
    assert received(entry) == [
        {"prompt": "{{b}} {b} {a }{} {a", "negative_prompt": "no {b}}"},
        {"prompt": "{\\1} {b} {a }{} {a", "negative_prompt": "no \\1}"},
    ]


def test_a_placeholder_in_one_of_the_texts_is_enough() -> None:
    assert len(received({"prompt": "a", "negative_prompt": "{a}", "matrix": {"a": [1, 2]}})) == 2
    assert len(received({"matrix": {"prompt": ["a", "b {a}"], "a": [1, 2]}})) == 4


def test_a_placeholder_may_join_what_belongs_together() -> None:
    matrix = {"a": ["\ud83c"], "b": ["\udf1f"]}
    assert received({"prompt": "{a}{b}", "matrix": matrix}) == [{"prompt": "\U0001f31f"}]


@pytest.mark.parametrize(
    ("matrix", "where"),
    [
        (None, {"matrix": 'must be an object such as {"animal": ["cat", "dog"]}'}),
        ([["cat"]], {"matrix": 'must be an object such as {"animal": ["cat", "dog"]}'}),
        ({"a": "cat", "b": []}, dict.fromkeys(["matrix.a", "matrix.b"], "must be a list of at least one value")),
        ({"seed": 7}, {"matrix.seed": "must be a list of at least one value"}),
        (
            {"a": ["b", True]},
            {"matrix.a": "must be texts or numbers, for it is no field and stands for part of a text"},
        ),
        ({"a": [None]}, {"matrix.a": "must be texts or numbers, for it is no field and stands for part of a text"}),
        ({"a": [1], "c": [1]}, {"matrix.c": "is no field, and no text holds it in braces"}),
        (
            {"a": ["x" * 4001]},
            {"prompt": "must have at most 4000 characters with the matrix's longest values filled in"},
        ),
        (
            {"prompt": ["{a}", "{a}{a}"], "a": ["x" * 2001]},
            {"matrix.prompt": "must be texts of at most 4000 characters when filled in"},
        ),
        ({"a": [1], "width": "64", "b": [[]]}, dict.fromkeys(["matrix.width", "matrix.b"])),
    ],
)
def test_a_matrix_that_cannot_be_applied_is_one_prompt_that_fails(matrix: Any, where: dict[str, str | None]) -> None:
    faults = failed({"prompt": "{a} {b}", "matrix": matrix, "runs": 3})
    assert faults.keys() == where.keys()
    assert all(message in (None, faults[place]) for place, message in where.items())


def test_a_text_may_be_as_long_as_its_field_when_it_is_filled_in() -> None:
    for text, value in (("x" * 3997 + "{a}", "abc"), ("{a}{a}", "y" * 2000), ("x" * 3996 + " {a}", "b")):
        (prompt,) = received({"prompt": text, "matrix": {"a": [value]}})
        assert prompt["prompt"] == text.replace("{a}", value)
        assert failed({"prompt": text, "matrix": {"a": [value, value + "123"]}}).keys() == {"prompt"}


@pytest.mark.parametrize("runs", [0, -1, True, 2.0, "2", None, [2]])
def test_runs_are_a_whole_number(runs: Any) -> None:
    assert failed({"prompt": "a", "runs": runs}) == {"runs": "must be a whole number of at least 1"}


def test_all_that_is_wrong_is_told_once_whatever_the_matrix_chooses() -> None:
    entry = {"negative_prompt": "\1", "width": 65, "cfg": 1, "a": 1, "matrix": {"a": [1], "seed": [1, 2]}, "runs": 0}
    assert failed(entry).keys() == {"prompt", "negative_prompt", "width", "cfg", "a", "matrix.a", "runs"}


def test_what_only_some_values_make_wrong_fails_by_itself() -> None:
    entries = list(expand([{"prompt": "{a}", "seed": 1, "matrix": {"a": ["b", " ", "c\1"], "width": [64, 65]}}]))
    assert [entry.received for entry in entries] == [
        {"prompt": text, "seed": 1, "width": width} for text in ("b", " ", "c\1") for width in (64, 65)
    ]
    text, width = {"[0].prompt"}, {"[0].width"}
    assert [{fault.where for fault in entry.faults} for entry in entries] == [
        set(), width, text, text | width, text, text | width
    ]  # fmt: skip


def test_an_entrys_matrix_takes_the_place_of_the_defaults() -> None:
    shared = {"prompt": "a {a}", "matrix": {"a": [1, 2]}, "runs": 2}
    own = [{}, {"matrix": {"seed": [5]}}, {"matrix": {}, "runs": 1}]
    assert received({"defaults": shared, "prompts": own}) == [
        *({"prompt": f"a {a}"} for a in (1, 1, 2, 2)),
        *({"prompt": "a {a}", "seed": seed} for seed in (5, 6)),
        {"prompt": "a {a}"},
    ]
    (entry,) = expand({"defaults": {"matrix": {"a": [1]}}, "prompts": [{"prompt": "b"}]})
    assert [fault.where for fault in entry.faults] == ["prompts[0].matrix.a"]
    assert entry.received == {"prompt": "b"}, "as it was written"


@pytest.mark.parametrize(
    ("name", "body", "line"),
    [
        ("a.jsonl", '{"prompt": "a {b}", "seed": 3, "matrix": {"b": [1, "x"]}, "runs": 2}\n{"matrix": 1}', "line 2, "),
        (
            "a.yaml",
            "- prompt: a {b}\n  seed: 3\n  matrix:\n    b: [1, x]\n  runs: 2\n- matrix: 1\n",
            "[1].",
        ),
    ],
)
def test_other_formats_have_them_too(name: str, body: str, line: str) -> None:
    *good, bad = read(name, body.encode())
    assert [entry.received for entry in good] == [
        {"prompt": f"a {b}", "seed": seed} for b in (1, "x") for seed in (3, 4)
    ]
    assert {fault.where for fault in bad.faults} == {f"{line}matrix", f"{line}prompt"}


def test_runs_of_a_table() -> None:
    entries = list(read("a.csv", b"prompt,runs,seed,num_images\na,3,18446744073709551614,2\nb,2,,\n"))
    assert [entry.received for entry in entries] == [
        *({"prompt": "a", "seed": seed, "num_images": 2} for seed in (2**64 - 2, 0, 2)),
        {"prompt": "b"},
        {"prompt": "b"},
    ]


@pytest.mark.parametrize("extra", [{"seed": -1}, {"seed": 2**64}, {"seed": 1.5}, {"seed": True}, {"num_images": 17}])
def test_a_seed_that_is_wrong_is_not_made_right(extra: dict[str, Any]) -> None:
    matrix = {name: [value] for name, value in extra.items()}
    entries = list(expand({"prompt": "a", "matrix": matrix, "runs": 2}))
    assert len(entries) == 2
    assert all(entry.faults for entry in entries)


def by_hand(entry: dict[str, Any]) -> list[dict[str, Any]]:
    """What an entry stands for, by plain loops."""
    prompts = []
    for combination in itertools.product(*entry["matrix"].values()):
        chosen = dict(zip(entry["matrix"], combination, strict=True))
        prompt = {name: value for name, value in entry.items() if name not in ("matrix", "runs")}
        prompt |= {name: value for name, value in chosen.items() if name in Prompt.model_fields}
        words = [name for name in chosen if name not in Prompt.model_fields]
        # By way of characters that no text holds, for a value may look like a placeholder.
        for number, name in enumerate(words):
            prompt["prompt"] = prompt["prompt"].replace("{" + name + "}", chr(0xE000 + number))
        for number, name in enumerate(words):
            prompt["prompt"] = prompt["prompt"].replace(chr(0xE000 + number), str(chosen[name]))
        for run in range(entry["runs"]):
            seed = prompt.get("seed")
            good = seed is not None and 0 <= seed < 2**64
            prompts.append(prompt | ({"seed": (seed + run * prompt["num_images"]) % 2**64} if good else {}))
    return prompts


@st.composite
def expanding(draw: st.DrawFn) -> dict[str, Any]:
    """An entry whose matrix can be applied."""
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=3))
    fields = draw(st.lists(st.sampled_from(sorted(FIELDS)), unique=True, max_size=2))
    order = draw(st.permutations([*names, *fields]))
    matrix = {name: draw(FIELDS.get(name, WORDS)) for name in order}
    words = [*names, *draw(st.lists(st.sampled_from(names), max_size=3))] if names else []
    # Set apart, so that they end as they were meant.
    text = "a" + "".join(f"<{{{name}}}>" + draw(st.text("ab {}", max_size=4)) for name in words)
    return {"prompt": text, "num_images": draw(st.integers(1, 16)), "matrix": matrix, "runs": draw(st.integers(1, 3))}


@settings(max_examples=500)
@given(expanding(), st.booleans())
def test_matrix_and_runs_are_the_loops_that_they_stand_for(entry: dict[str, Any], in_yaml: bool) -> None:  # noqa: FBT001
    expected = by_hand(entry)
    entries = read("a.yaml" if in_yaml else "a.json", json.dumps(entry).encode())
    assert len(entries) == len(expected) == prod(map(len, entry["matrix"].values())) * entry["runs"]
    assert [one.received for one in entries] == expected
    alone = [Entry(prompt, one.faults) for prompt in expected for one in expand(prompt)]
    assert list(entries) == alone, "each is as valid as it is when it is written by itself"
