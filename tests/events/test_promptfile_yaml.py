"""YAML: the core schema of version 1.2, by libyaml and by PyYAML's own parser, and nothing that JSON cannot say."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from events.envelope import MAX_NESTING, decode_json
from events.promptfile import InvalidPromptFile
from events.promptfile.strict_yaml import FASTEST, decode_yaml
from tests.events.test_promptfile_formats import CHARACTERS, in_yaml

LOADERS: Final = [yaml.SafeLoader, yaml.CSafeLoader]

both = pytest.mark.parametrize("loader", LOADERS, ids=lambda loader: loader.__name__)

# YAML 1.2.2, section 10.3.2, and what of version 1.1 is a text since then.
TEXTS: Final = (
    *("no", "No", "off", "on", "yes", "y", "n", "nULL", "tRUE", "Nil", "12:30", "190:20:30", "1_000", "685.230_15"),
    *("0b1010", "0o8", "0xg", "+0x1", "-0o7", "1e", "e3", ".", "+", "2001-01-01", "2001-12-14t21:59:43.10-05:00"),
    *("=", "<<", "a red star", "\u0661"),
)
MEANT: Final[dict[str, object]] = {
    **{text: text for text in TEXTS},
    **dict.fromkeys(["null", "Null", "NULL", "~", "", "# nothing"]),
    **dict.fromkeys(["true", "True", "TRUE"], True),
    **dict.fromkeys(["false", "False", "FALSE"], False),
    "0": 0,
    "-19": -19,
    "+7": 7,
    "007": 7,
    "0o17": 15,
    "0x3A": 58,
    "0xff": 255,
    "1" * 1000: int("1" * 1000),
    "0.": 0.0,
    "-0.0": -0.0,
    ".5": 0.5,
    "+12e03": 12000.0,
    "-2E+05": -200000.0,
    "1e3": 1000.0,
    "-.5e-1": -0.05,
    '"no"': "no",
    "'7'": "7",
    '"null"': "null",
    '"\\x61\\n"': "a\n",
    "|\n  no\n  7\n": "no\n7\n",
    ">-\n  a\n  b": "a b",
    "[1, [a], {b: 2}]": [1, ["a"], {"b": 2}],
    "{a: }": {"a": None},
    "{<<: {a: 1}}": {"<<": {"a": 1}},
    "- a\n-\n- b: 1\n  no: 2\n": ["a", None, {"b": 1, "no": 2}],
    "&anchor a": "a",
    "%YAML 1.2\n---\na: 1\n...\n": {"a": 1},
}


@both
@pytest.mark.parametrize("text", MEANT)
def test_scalars_mean_what_version_1_2_says(text: str, loader: Any) -> None:
    value = decode_yaml(text, loader)
    assert value == MEANT[text]
    assert json.dumps(value) == json.dumps(MEANT[text]), "of the same type"


REFUSED: Final = {
    "aliases are not followed": ["a: &x [1]\nb: *x", "- &x a\n- *x", "- &x [*x]"],
    "tags are not known": [
        *("!!python/object/apply:os.system [x]", "!!str 7", "! 7", "a: !b c", "!!binary aGk=", "!!set {a}"),
        *("%TAG ! tag:x,2000:\n---\na", "# c\n%TAG !e! tag:e\n---\n!e!f a"),
    ],
    "infinity and NaN are no numbers": [".inf", "-.INF", "+.Inf", ".nan", ".NaN", "1e999", "-1e999", "9" * 400 + "."],
    "a number is too large": ["1" * 1001, "0x" + "f" * 1000, "-" + "1" * 5000],
    "must be text": ["1: a", "null: a", "true: a", "? [a]\n: b", "{1.5: a}", "? {a: b}\n: c", "~: a"],
    "there are two fields of this name": ["a: 1\nb: 2\na: 3", '{a: 1, "a": 2}'],
    "only one document": ["a\n---\nb", "---\n---\n"],
    "too many lists and mappings": ["[" * 65 + "]" * 65, "- " * 65, "{a: " * 65 + "}" * 65],
    "is not YAML": ["[1", "a: b: c", "a: 'b", "\tx: 1", "- a\nb", "{a: 1]", "@a", "a: *", '"\\q"', "%YAML 3\n---\na"],
    "a character that YAML does not allow": ["\x01", "a\x1b[0m"],
}


@both
@pytest.mark.parametrize(("why", "text"), [(why, text) for why, texts in REFUSED.items() for text in texts])
def test_what_json_cannot_say_is_refused(why: str, text: str, loader: Any) -> None:
    with pytest.raises(InvalidPromptFile) as invalid:
        decode_yaml(text, loader)
    (fault,) = invalid.value.faults
    assert why in fault.message


@both
def test_half_of_a_surrogate_pair_is_refused(loader: Any) -> None:
    for text in ('"\\ud83c\\udf1f"', '"\\ud800"'):
        with pytest.raises(InvalidPromptFile):
            decode_yaml(text, loader)


@both
@pytest.mark.parametrize("text", ["!secret!x a", "%YAML secret\n---\na", "a: *secret", "@secret"])
def test_what_was_sent_is_not_repeated(text: str, loader: Any) -> None:
    with pytest.raises(InvalidPromptFile) as invalid:
        decode_yaml(text, loader)
    assert "secret" not in str(invalid.value)


@both
@pytest.mark.parametrize(
    ("text", "line"),
    [("a: 1\nb: [2\nc: 3\n", 3), ("a: 1\n\nb: *c\n", 3), ("a:\n  - b\n  - .inf\n", 3), ("a: 1\n---\nb: 1", 2)],
)
def test_the_line_is_named(text: str, line: int, loader: Any) -> None:
    with pytest.raises(InvalidPromptFile) as invalid:
        decode_yaml(text, loader)
    assert [fault.where for fault in invalid.value.faults] == [f"line {line}"]


@both
def test_as_many_levels_as_in_json(loader: Any) -> None:
    text = "[" * MAX_NESTING + "]" * MAX_NESTING
    assert decode_yaml(text, loader) == decode_json(text.encode())
    with pytest.raises(ValueError, match="brackets"):
        decode_json(f"[{text}]".encode())
    with pytest.raises(InvalidPromptFile):
        decode_yaml(f"[{text}]", loader)


def test_libyaml_is_used_where_it_is() -> None:
    assert yaml.__with_libyaml__, "this wheel of PyYAML has no libyaml; everything works, but slowly"
    assert FASTEST is yaml.CSafeLoader


STRINGS: Final = st.text(CHARACTERS, max_size=12)
VALUES: Final = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | STRINGS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(STRINGS, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=300)
@given(VALUES, st.booleans(), st.booleans(), st.sampled_from(LOADERS))
def test_what_pyyaml_writes_is_read_the_same(value: Any, flow: bool, ascii_only: bool, loader: Any) -> None:  # noqa: FBT001
    assert json.dumps(decode_yaml(in_yaml(value, flow=flow, ascii_only=ascii_only), loader)) == json.dumps(value)


PARTS: Final = [
    "a",
    "1",
    "- ",
    ": ",
    "\n",
    "  ",
    "[",
    "]",
    "{",
    "}",
    ", ",
    "'",
    '"',
    "&x ",
    "*x",
    "|",
    ">",
    "!",
    "#",
    "?",
]


def value_of(text: str, loader: Any) -> str | None:
    """The value, None if it is refused."""
    try:
        return json.dumps(decode_yaml(text, loader))
    except InvalidPromptFile:
        return None


@settings(max_examples=500)
@given(st.lists(st.sampled_from(PARTS)))
def test_what_both_parsers_read_they_read_the_same(parts: list[str]) -> None:
    # Of what is no YAML each lets something else pass, such as the comment in `|#`.
    by_pyyaml, by_libyaml = (value_of("".join(parts), loader) for loader in LOADERS)
    assert by_pyyaml is None or by_libyaml is None or by_pyyaml == by_libyaml
