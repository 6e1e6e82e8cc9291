"""Prompt files by hand: which names and shapes are read, and in which words the rest is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.envelope import encode_json
from events.prompt import MAX_FAULTS, sentence
from events.promptfile import InvalidPromptFile, expand, read
from tests.events.test_envelope import BROKEN
from tests.events.values import JSON

NAMES = ("a.json", "a.jsonl", "a.yaml", "a.yml", "a.csv", "a.txt")
NO_FIELD = "there is no such field; the README lists them"
NO_PROMPT_FIELD = "there is no such field; did you mean prompt?"
NO_PROMPT = 'a prompt is a JSON object such as {"prompt": "a red star"}'


def received(name: str, body: str | bytes) -> list[object]:
    """The prompts of a file in which nothing is wrong."""
    entries = list(read(name, body.encode() if isinstance(body, str) else body))
    assert [entry.faults for entry in entries] == [()] * len(entries)
    return [entry.received for entry in entries]


def found(name: str, body: str | bytes) -> list[tuple[object, dict[str, str]]]:
    """What stands in a file, each with what is wrong with it, by where."""
    entries = read(name, body.encode() if isinstance(body, str) else body)
    listed = [(entry.received, {fault.where: fault.message for fault in entry.faults}) for entry in entries]
    assert len(entries) == len(listed)
    return listed


def refused(name: str, body: str | bytes) -> dict[str, str]:
    """Why the file as a whole cannot be read, by where; fails if it can."""
    with pytest.raises(InvalidPromptFile) as invalid:
        read(name, body.encode() if isinstance(body, str) else body)
    assert invalid.value.faults
    assert str(invalid.value) == sentence(invalid.value.faults)
    assert "\n" not in str(invalid.value)
    return {fault.where: fault.message for fault in invalid.value.faults}


@pytest.mark.parametrize("name", ["red.json", "in/deep/RED.JSON", ".json", "caf\u00e9.json", "a b.yaml.json"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_object_is_one_prompt(name: str, mark: bytes) -> None:
    assert received(name, mark + b'{"prompt": "caf\xc3\xa9", "seed": 7}') == [{"prompt": "caf\u00e9", "seed": 7}]


def test_list_is_several_prompts_in_order() -> None:
    prompts = [{"prompt": str(n)} for n in range(500)]
    assert received("many.json", json.dumps(prompts, indent=2)) == prompts


def test_bad_prompt_does_not_stop_the_good_ones() -> None:
    body = '[{"prompt": "a"}, {"prmopt": "b", "width": 65}, 5, null, [], {"prompt": "d"}]'
    assert found("mixed.json", body) == list(
        zip(
            json.loads(body),
            [
                {},
                {"[1].prompt": "is missing", "[1].prmopt": NO_PROMPT_FIELD, "[1].width": "must be a multiple of 8"},
                {"[2]": NO_PROMPT},
                {"[3]": NO_PROMPT},
                {"[4]": NO_PROMPT},
                {},
            ],
            strict=True,
        )
    )


@pytest.mark.parametrize("body", ["5", '"a red star"', "null", "true"])
@pytest.mark.parametrize("name", ["one.json", "one.jsonl"])
def test_what_is_no_prompt_is_one_that_fails(name: str, body: str) -> None:
    where = "" if name == "one.json" else "line 1"
    assert found(name, body) == [(json.loads(body), {where: NO_PROMPT})]


def test_a_single_prompt_has_its_faults_by_field_alone() -> None:
    assert found("one.json", '{"width": 65}') == [
        ({"width": 65}, {"prompt": "is missing", "width": "must be a multiple of 8"})
    ]


@pytest.mark.parametrize("name", ["a.json", "a.yaml"])
def test_defaults_are_under_every_prompt(name: str) -> None:
    body = '{"defaults": {"width": 64, "seed": 7}, "prompts": [{"prompt": "a"}, {"prompt": "b", "seed": null}, {}, 5]}'
    assert found(name, body) == [
        ({"prompt": "a", "width": 64, "seed": 7}, {}),
        ({"prompt": "b", "width": 64, "seed": None}, {}),
        ({"width": 64, "seed": 7}, {"prompts[2].prompt": "is missing"}),
        (5, {"prompts[3]": NO_PROMPT}),
    ]
    assert received(name, '{"prompts": [{"prompt": "a"}]}') == [{"prompt": "a"}]
    assert received(name, '{"defaults": {"prompt": "a"}, "prompts": [{}]}') == [{"prompt": "a"}]


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ('{"prompts": "a red star"}', {"prompts"}),
        ('{"defaults": {}}', {"prompts"}),
        ('{"defaults": [], "prompts": [{"prompt": "a"}]}', {"defaults"}),
        ('{"prompt": "a", "prompts": [{"prompt": "a"}], "width": 64}', {"prompt", "width"}),
        ('{"defaults": {"widht": 64, "steps": 9, "seed": -1}, "prompts": [{"prompt": "a"}]}',
         {"defaults.widht", "defaults.steps", "defaults.seed"}),
        ('{"defaults": {"runs": 0, "matrix": {"a": []}}, "prompts": [{"prompt": "a"}]}',
         {"defaults.runs", "defaults.matrix.a"}),
    ],
)  # fmt: skip
def test_what_is_wrong_with_the_whole_is_told_once(body: str, where: set[str]) -> None:
    assert refused("a.json", body).keys() == where


@pytest.mark.parametrize("name", ["red.bmp", "red.json.bak", "json", "red.json/", "", "txt", "red.", "red"])
def test_other_names_are_refused(name: str) -> None:
    assert refused(name, "a red star") == {
        "": "the name of a prompt file ends in one of .json, .jsonl, .yaml, .yml, .csv, .txt"
    }


@pytest.mark.parametrize("body", ["", "prompt: a red star\n", *BROKEN.values()], ids=["empty", "YAML", *BROKEN])
def test_broken_json_is_refused_in_words(body: str | bytes) -> None:
    (message,) = refused("red.json", body).values()
    assert message.startswith(("the file is not JSON: ", "is not UTF-8"))


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("a.json", " [ ] "),
        ("a.json", '{"prompts": []}'),
        ("a.jsonl", ""),
        ("a.jsonl", "\n \r\n\n"),
        ("a.yaml", ""),
        ("a.yaml", "# nothing\n---\n# here\n"),
        ("a.yaml", "[]"),
        ("a.yml", "null"),
        ("a.csv", ""),
        ("a.csv", "\n\n"),
        ("a.csv", "prompt,seed\n,\n"),
        ("a.txt", "# a red star\n\n  # another\n"),
    ],
)
def test_nothing_to_draw_is_refused(name: str, body: str) -> None:
    assert refused(name, body) == {"": "the file holds no prompt"}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("body", "where"),
    [
        ("caf\u00e9".encode("latin-1"), "line 1"),
        (b"a\nb\n\xff", "line 3"),
        ("a red star".encode("utf-16"), "line 1"),
        ("a red star".encode("utf-16-le"), "line 1"),
        ("a red star".encode("utf-32-be"), "line 1"),
    ],
)
def test_other_encodings_are_refused(name: str, body: bytes, where: str) -> None:
    assert refused(name, body)[where].endswith("; save the file as UTF-8")


def test_lines_of_json() -> None:
    body = (
        '\ufeff{"prompt": "a\u2028b"}\r\n\n  {"prompt": "c", "seed": -1, "x": 1}\n{"prompt": "d"\n[]\n{"prompt": "e"}'
    )
    assert found("a.jsonl", body) == [
        ({"prompt": "a\u2028b"}, {}),
        (
            {"prompt": "c", "seed": -1, "x": 1},
            {"line 3, seed": "must be greater than or equal to 0", "line 3, x": NO_FIELD},
        ),
        ('{"prompt": "d"', {"line 4": "is not JSON: Expecting ',' delimiter, column 15"}),
        ([], {"line 5": NO_PROMPT}),
        ({"prompt": "e"}, {}),
    ]
    assert found("a.jsonl", '{"seed": NaN}') == [('{"seed": NaN}', {"line 1": "is not JSON: NaN is not JSON"})]


def test_lines_of_text() -> None:
    body = "\ufeff# stars\n a red star \r\n\n\t#not this\nb\u2028c # d\n\x01\n{e}\n" + "f" * 4001
    assert found("a.txt", body) == [
        ({"prompt": "a red star"}, {}),
        ({"prompt": "b\u2028c # d"}, {}),
        ({"prompt": "\x01"}, {"line 6, prompt": "must not hold control characters"}),
        ({"prompt": "{e}"}, {}),
        ({"prompt": "f" * 4001}, {"line 8, prompt": "must have at most 4000 characters"}),
    ]


def test_rows_of_a_table() -> None:
    body = '\ufeffprompt, width,guidance_scale,runs\r\n"a, ""b""", 64,7.5,\r\n\r\n'
    body += '7,,,2\n"two\nlines",65,x,0\n,,,\n c ,null\n'
    assert found("a.csv", body) == [
        ({"prompt": 'a, "b"', "width": 64, "guidance_scale": 7.5}, {}),
        ({"prompt": "7"}, {}),
        ({"prompt": "7"}, {}),
        (
            {"prompt": "two\nlines", "width": 65, "guidance_scale": "x", "runs": 0},
            {
                "line 5, runs": "must be a whole number of at least 1",
                "line 5, width": "must be a multiple of 8",
                "line 5, guidance_scale": "must be a valid number",
            },
        ),
        ({"prompt": " c ", "width": None}, {}),
    ]


def test_cells_of_text_fields_are_text() -> None:
    body = "scheduler,negative_prompt,prompt\nDDIMScheduler,true,1e3\n,null,{}\n"
    assert received("a.csv", body) == [
        {"prompt": "1e3", "negative_prompt": "true", "scheduler": "DDIMScheduler"},
        {"prompt": "{}", "negative_prompt": "null"},
    ]


def test_lines_may_end_as_on_any_machine() -> None:
    for end in ("\n", "\r\n", "\r"):
        assert found("a.csv", f"prompt,seed{end}a,1{end}{end}b,x{end}") == [
            ({"prompt": "a", "seed": 1}, {}),
            ({"prompt": "b", "seed": "x"}, {"line 4, seed": "must be a valid integer"}),
        ]


def test_a_cell_keeps_its_newlines() -> None:
    assert received("a.csv", 'prompt\r\n"a\r\nb\nc"\r\n') == [{"prompt": "a\r\nb\nc"}]


def test_a_row_that_is_none_leaves_the_others_alone() -> None:
    body = 'prompt,seed\n"a"b,1\nc,2,3\n"two\nlines",4,\nd,5\n"open,6\ne,7\n'
    assert found("a.csv", body) == [
        ('"a"b,1', {"line 2": "is not CSV: ',' expected after '\"'"}),
        ("c,2,3", {"line 3": "has 3 cells, but there are 2 columns; quote a cell that holds a comma"}),
        ('"two\nlines",4,', {"line 4": "has 3 cells, but there are 2 columns; quote a cell that holds a comma"}),
        ({"prompt": "d", "seed": 5}, {}),
        ('"open,6', {"line 7": "is not CSV: unexpected end of data"}),
        ({"prompt": "e", "seed": 7}, {}),
    ]


def test_a_cell_is_as_long_as_its_file_may_be_and_no_line_of_it_is_a_prompt() -> None:
    lines = "\n".join(f"line {number}, of a text" for number in range(10_000))
    ((received, faults),) = found("a.csv", f'prompt\n"{lines}"\n')
    assert received == {"prompt": lines}
    assert faults.keys() == {"line 2, prompt"}


@pytest.mark.parametrize(
    ("header", "where"),
    [
        ("prompt;seed", {"line 1, prompt;seed"}),
        ("prompt,steps,", {"line 1, steps", "line 1, column 3"}),
        ("prompt,seed, prompt", {"line 1, prompt"}),
        ("prompt,matrix", {"line 1, matrix"}),
        ("Prompt", {"line 1, Prompt"}),
        ('"prompt', {"line 1"}),
        ("a red star", {"line 1, a red star"}),
    ],
)
def test_a_header_that_names_no_fields_is_refused(header: str, where: set[str]) -> None:
    assert refused("a.csv", f"{header}\na,1\n").keys() == where


def test_what_was_sent_is_not_repeated() -> None:
    bodies = {
        "a.json": ['{"prompt": secret}', '{"prompt": "secret}', "secret", '{"secret": "\x01"}', "[NaN, secret]"],
        "a.yaml": ["a: b: secret", "*secret", "!secret a", "a: &secret {", "- a\n  - 'secret", "@secret", "%secret a"],
        "a.csv": ['prompt\n"secret"x\n', "prompt\nsecret,secret\n", 'prompt,seed\n"secret', "prompt,seed\na,secret"],
        "a.jsonl": ["secret", '{"prompt": "a", "seed": "secret"}', '{"prompt": "secret", "matrix": ["secret"]}'],
        "a.txt": ["secret\x01", "secret" * 1000],
    }
    for name, every in bodies.items():
        for body in every:
            try:
                told = [str(fault) for entry in read(name, body.encode()) for fault in entry.faults]
            except InvalidPromptFile as invalid:
                told = [str(invalid)]
            assert told, body
            assert "secret" not in "".join(told), body


def test_no_more_faults_are_told_than_fit_into_an_outcome() -> None:
    many = {f"x{n}": n for n in range(1000)}
    wholes: list[dict[str, Any]] = [many | {"prompts": []}, {"prompts": [{}], "defaults": many}]
    for whole in wholes:
        with pytest.raises(InvalidPromptFile) as invalid:
            expand(whole)
        assert len(invalid.value.faults) == MAX_FAULTS
    assert len(refused("a.csv", ",".join(many))) == MAX_FAULTS
    for matrix in (many, {"x" * 999: 1}, {"x" * 999: [1]}, {name: [1] for name in many}):
        (failed,) = expand({"prompt": "a", "matrix": matrix})
        assert len(failed.faults) == min(len(matrix), MAX_FAULTS)
        assert all(len(fault.where) <= 100 for fault in failed.faults)
    for entry in (many, many | {"runs": 2}):
        (failed,) = expand(entry)
        assert len(failed.faults) == MAX_FAULTS


@given(st.sampled_from(NAMES), st.binary(max_size=60) | JSON.map(encode_json) | st.text(max_size=60).map(str.encode))
def test_any_bytes_are_prompts_or_refused(name: str, body: bytes) -> None:
    try:
        entries = read(name, body)
    except InvalidPromptFile as invalid:
        assert invalid.faults  # noqa: PT017  # both ends are right
    else:
        assert len(list(entries)) == len(entries) > 0


@given(JSON)
def test_a_value_is_expanded_as_a_file_of_it_is_read(value: Any) -> None:
    try:
        entries = list(expand(value))
    except InvalidPromptFile as invalid:
        assert refused("a.json", encode_json(value)) == {fault.where: fault.message for fault in invalid.faults}  # noqa: PT017
    else:
        assert list(read("a.json", encode_json(value))) == entries


def test_entries_are_built_anew_each_time() -> None:
    entries = read("a.json", b'{"prompt": "a {b}", "matrix": {"b": [1, 2]}, "runs": 2}')
    assert list(entries) == list(entries)
    assert len(entries) == 4
