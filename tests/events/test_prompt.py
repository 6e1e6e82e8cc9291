"""Prompts: what is accepted, what is refused and in which words, and by what two of them are told apart."""

from __future__ import annotations

import hashlib
import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.envelope import decode_json
from events.prompt import MAX_FAULTS, Fault, InvalidPrompt, Prompt, canonical, prompt_hash, validate
from tests.events.values import JSON, SCALARS, TEXT

FIELDS = tuple(Prompt.model_fields)

ACCEPTED: dict[str, list[object]] = {
    "prompt": ["a", "x" * 4000, "\U0001f31f" * 4000, " a ", "\u8d64\u3044\u661f", 'two\nlines\tand "quotes"'],
    "negative_prompt": ["", " ", "x" * 4000, None],
    "width": [64, 72, 1024, 2048, None],
    "height": [64, 72, 1024, 2048, None],
    "num_inference_steps": [1, 30, 150],
    "guidance_scale": [0, 0.0, 0.5, 5, 7.5, 30, 30.0],
    "seed": [0, 1, 2**63, 2**64 - 1, None],
    "num_images": [1, 16],
    "scheduler": [
        "DDIMScheduler",
        "DPMSolverMultistepScheduler",
        "EulerAncestralDiscreteScheduler",
        "EulerDiscreteScheduler",
        "UniPCMultistepScheduler",
        None,
    ],
}

# What no field takes, among them what a lenient reader would make fit: "9" is no integer, and neither is True.
NEVER: list[object] = [True, False, [], {}, ["a"], {"a": 1}]
NO_NUMBER: list[object] = [*NEVER, "9", "1024", "", "\ud800"]
NO_INTEGER: list[object] = [*NO_NUMBER, 64.0, 0.5, 1e300]

REFUSED: dict[str, list[object]] = {
    "prompt": [*NEVER, None, 9, 1.5, "", " ", "\n\t", "\u3000", "x" * 4001, "a\0b", "a\x1b[0m", "a\ud800"],
    "negative_prompt": [*NEVER, 9, "x" * 4001, "\1", "\udfff"],
    "width": [*NO_INTEGER, 0, -64, 56, 63, 65, 1023, 2047, 2056, 10**400],
    "height": [*NO_INTEGER, 0, -64, 56, 63, 65, 1023, 2047, 2056, -(10**400)],
    "num_inference_steps": [*NO_INTEGER, None, 0, -1, 151, 10**400],
    "guidance_scale": [*NO_NUMBER, None, -0.001, 30.001, 31, 10**400, float("inf"), float("-inf"), float("nan")],
    "seed": [*NO_INTEGER, -1, 2**64, 10**400],
    "num_images": [*NO_INTEGER, None, 0, 17],
    "scheduler": [*NEVER, 1, "", "euler", "EulerDiscrete", "eulerdiscretescheduler", "PNDMScheduler", "\ud800"],
}


def faults_of(received: object) -> dict[str, str]:
    """What is wrong, by where it is; fails if nothing is."""
    with pytest.raises(InvalidPrompt) as invalid:
        validate(received)
    assert invalid.value.faults
    return {fault.where: fault.message for fault in invalid.value.faults}


def test_the_tables_know_every_field() -> None:
    assert set(ACCEPTED) == set(REFUSED) == set(FIELDS)


@pytest.mark.parametrize(("field", "value"), [(field, value) for field in ACCEPTED for value in ACCEPTED[field]])
def test_field_is_accepted_at_its_limits(field: str, value: object) -> None:
    assert getattr(validate({"prompt": "a", field: value}), field) == value


@pytest.mark.parametrize(("field", "value"), [(field, value) for field in REFUSED for value in REFUSED[field]])
def test_field_is_refused_beyond_its_limits(field: str, value: object) -> None:
    assert list(faults_of({"prompt": "a", field: value})) == [field]


def test_what_is_left_out_has_its_default() -> None:
    assert validate({"prompt": "a red star"}).model_dump() == {
        "prompt": "a red star",
        "negative_prompt": None,
        "width": None,
        "height": None,
        "num_inference_steps": 30,
        "guidance_scale": 5.0,
        "seed": None,
        "num_images": 1,
        "scheduler": None,
    }


@pytest.mark.parametrize("received", [None, True, 1, 1.5, "a red star", [], [{"prompt": "a red star"}]])
def test_only_an_object_is_a_prompt(received: object) -> None:
    (message,) = faults_of(received).values()
    assert "JSON object" in message


def test_all_faults_are_told_at_once() -> None:
    wrong = {field: True for field in FIELDS if field != "prompt"} | {"stpes": 3, "cfg": 7}
    assert faults_of(wrong).keys() == {*FIELDS, "stpes", "cfg"}


def test_faults_say_what_to_do() -> None:
    faults = faults_of(
        {"prompt": " ", "width": 100, "num_images": 17, "seed": "9", "steps": 3, "negative_prompt": "\1"}
    )
    assert faults == {
        "prompt": "must not be empty",
        "width": "must be a multiple of 8",
        "num_images": "must be less than or equal to 16",
        "seed": "must be a valid integer",
        "steps": "there is no such field; there are " + ", ".join(FIELDS),
        "negative_prompt": "must not hold control characters",
    }
    assert faults_of({}) == {"prompt": "is missing"}
    assert faults_of({"prompt": "x" * 4001}) == {"prompt": "must have at most 4000 characters"}
    assert faults_of({"prompt": "\ud800"}) == {"prompt": "is no text, it holds half of a surrogate pair"}
    assert faults_of({"prompt": "a", "\ud800": 1}) == {
        "a field's name": "is no text, it holds half of a surrogate pair"
    }


@pytest.mark.parametrize("name", ["stpes", "Prompt", "prompt ", "", "model_config", "__class__", "x" * 5000])
def test_unknown_field_is_refused_and_named(name: str) -> None:
    faults = faults_of({"prompt": "a", name: 1})
    assert list(faults) == [name[:100]]
    assert "no such field" in faults[name[:100]]


def test_faults_are_finitely_many() -> None:
    assert len(faults_of({f"field{n}": n for n in range(10_000)})) == MAX_FAULTS


def test_fault_and_error_read_as_a_sentence() -> None:
    assert str(Fault("width", "must be a multiple of 8")) == "width: must be a multiple of 8"
    assert str(Fault("", "no prompt")) == "no prompt"
    assert str(InvalidPrompt([Fault("a", "is missing"), Fault("b", "is missing")])) == "a: is missing; b: is missing"


def marked(marker: str) -> st.SearchStrategy[object]:
    """JSON values that hold `marker` wherever they can hold a text, as a name too."""
    text = st.sampled_from([marker, f"{marker} ", f"\0{marker}", marker * 400])
    return st.recursive(
        text,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, min_size=1, max_size=2),
        max_leaves=5,
    )


MARKER = f"marker{random.Random(7).getrandbits(64):x}"


def refusal(received: object) -> InvalidPrompt | None:
    """Why it is no prompt, if it is none."""
    try:
        validate(received)
    except InvalidPrompt as invalid:
        return invalid
    return None


@given(st.dictionaries(st.sampled_from([*FIELDS, "unknown"]), marked(MARKER), min_size=1))
def test_no_value_is_echoed(received: dict[str, Any]) -> None:
    if invalid := refusal(received):
        assert MARKER not in f"{invalid} {invalid.faults}"
        assert invalid.__suppress_context__, "a traceback would print pydantic's error, which has the input"


@given(JSON | st.dictionaries(st.sampled_from(FIELDS), SCALARS))
def test_whatever_is_received_is_a_prompt_or_has_faults(received: object) -> None:
    invalid = refusal(received)
    assert invalid is None or (invalid.faults and all(fault.message for fault in invalid.faults))


@pytest.mark.parametrize(
    ("received", "spelling"),
    [
        ({"b": [1, 2.5, None, True], "a": "x"}, b'{"a":"x","b":[1,2.5,null,true]}'),
        ("caf\u00e9", b'"caf\xc3\xa9"'),
        ("\ud800", b'"\xed\xa0\x80"'),
        (10**40, b"1" + b"0" * 40),
        ({}, b"{}"),
        (None, b"null"),
    ],
)
def test_canonical_spelling(received: object, spelling: bytes) -> None:
    assert canonical(received) == spelling
    assert prompt_hash(received) == hashlib.sha256(spelling).hexdigest()


def test_prompt_hash_never_drifts() -> None:
    # printf '%s' '{"prompt":"a red star","seed":7}' | sha256sum
    received = {"seed": 7, "prompt": "a red star"}
    assert prompt_hash(received) == "dbc2f9ce8ddf063ec553fbddefdb709f4f1fb444612d20be4a564415d884845d"


@given(st.dictionaries(TEXT, JSON), st.randoms())
def test_order_and_spaces_do_not_matter(received: dict[str, object], luck: random.Random) -> None:
    names = list(received)
    luck.shuffle(names)
    shuffled = json.dumps({name: received[name] for name in names}, indent=luck.choice([None, 1, 4]))
    assert prompt_hash(decode_json(shuffled.encode())) == prompt_hash(received)


@given(JSON, JSON)
def test_different_prompts_differ(one: object, other: object) -> None:
    # Compared as JSON: in Python True == 1 == 1.0 and 0.0 == -0.0.
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (prompt_hash(one) == prompt_hash(other)) is same


@pytest.mark.parametrize("field", [field for field in FIELDS if field != "prompt"])
def test_defaults_are_not_filled_in(field: str) -> None:
    default = Prompt.model_fields[field].default
    assert prompt_hash({"prompt": "a", field: default}) != prompt_hash({"prompt": "a"})
    assert validate({"prompt": "a", field: default}) == validate({"prompt": "a"})


def test_a_long_number_is_hashed() -> None:
    digits = b"9" * 4000
    assert canonical(decode_json(b'{"seed": %s}' % digits)) == b'{"seed":%s}' % digits
