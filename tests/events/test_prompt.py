"""Prompts: what is accepted, what is refused and in which words, and by what two of them are told apart."""

from __future__ import annotations

import hashlib
import json
import random
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.envelope import decode_json
from events.prompt import MAX_FAULTS, Fault, InvalidPrompt, Prompt, canonical, prompt_hash, validate
from events.prompt.schedulers import NAMES
from tests.events.faults import faults_of
from tests.events.values import JSON, SCALARS, TEXT

FIELDS = tuple(Prompt.model_fields)

PAIRS: list[object] = [[1, 1], [8192, 8192], None]
LORA, INPUT = {"name": "ink"}, "s3://inputs/cat.png"
FOLLOWED = {"name": "depth", "image": INPUT}

ACCEPTED: dict[str, list[object]] = {
    "prompt": ["a", "x" * 4000, " a ", "\u8d64\u3044\u661f", 'two\nlines\tand "quotes"'],
    "prompt_2": ["", " ", "x" * 4000, None],
    "negative_prompt": ["", " ", "x" * 4000, None],
    "negative_prompt_2": ["", " ", "x" * 4000, None],
    "clip_skip": [1, 11, None],
    "width": [64, 72, 1024, 2048, None],
    "height": [64, 72, 1024, 2048, None],
    "size": ["64x64", "2048x2048", "1024x768", None],
    "aspect_ratio": ["1:4", "4:1", "16:9", "2.39:1", None],
    "num_images": [1, 16],
    "original_size": PAIRS,
    "target_size": PAIRS,
    "crops_coords_top_left": [[0, 0], *PAIRS],
    "negative_original_size": PAIRS,
    "negative_target_size": PAIRS,
    "negative_crops_coords_top_left": [[0, 0], *PAIRS],
    "scheduler": [*NAMES, None],
    "scheduler_config": [None],
    "num_inference_steps": [1, 30, 150],
    "timesteps": [[999], [0], [999, 0], list(range(150, 0, -1)), None],
    "sigmas": [[1, 0], [1000.0, 0.5], [float(sigma) for sigma in range(151, 0, -1)], None],
    "guidance_scale": [0, 0.0, 0.5, 5, 7.5, 30, 30.0],
    "guidance_rescale": [0, 0.5, 1],
    "seed": [0, 1, 2**63, 2**64 - 1, None],
    "image": [None],
    "mask_image": [None],
    "strength": [None],
    "refiner": ["none", "ensemble", "image"],
    "refiner_steps": [None],
    "high_noise_fraction": [None],
    "refiner_strength": [None],
    "aesthetic_score": [None],
    "negative_aesthetic_score": [None],
    "loras": [[]],
    "controlnets": [[]],
    "ip_adapters": [[]],
    "outputs": [],
    "destination": [None],
}

# What no field takes, among them what a lenient reader would make fit: "9" is no integer, and neither is True.
NEVER: list[object] = [True, False, [], {}, ["a"], {"a": 1}]
NO_NUMBER: list[object] = [*NEVER, "9", "1024", "", "\ud800"]
NO_INTEGER: list[object] = [*NO_NUMBER, 64.0, 0.5, 1e300]

NO_PAIR: list[object] = [*NEVER, 9, "64x64", [], [1], [1, 2, 3], [1, 8193], [1, -1], [1.0, 1], ["1", 1], [None, 1]]
NO_SIZE: list[object] = [*NO_PAIR, [0, 64]]
NO_PART: list[object] = [*NO_NUMBER, -0.001, 1.001, 10**400, float("inf"), float("nan")]

REFUSED: dict[str, list[object]] = {
    "prompt": [*NEVER, None, 9, 1.5, "", " ", "\n\t", "\u3000", "x" * 4001, "a\0b", "a\x1b[0m", "a\ud800"],
    "prompt_2": [*NEVER, 9, "x" * 4001, "\1", "\udfff"],
    "negative_prompt": [*NEVER, 9, "x" * 4001, "\1", "\udfff"],
    "negative_prompt_2": [*NEVER, 9, "x" * 4001, "\1", "\udfff"],
    "clip_skip": [*NO_INTEGER, 0, 12],
    "width": [*NO_INTEGER, 0, -64, 56, 63, 65, 1023, 2047, 2056, 10**400],
    "height": [*NO_INTEGER, 0, -64, 56, 63, 65, 1023, 2047, 2056, -(10**400)],
    "size": [*NEVER, 64, "", "65x64", "2056x64", "64X64", "auto", "\ud800"],
    "aspect_ratio": [*NEVER, 1.5, "", "1", "5:1", "1:0", "16/9", "\ud800"],
    "num_images": [*NO_INTEGER, None, 0, 17],
    "original_size": NO_SIZE,
    "target_size": NO_SIZE,
    "crops_coords_top_left": NO_PAIR,
    "negative_original_size": NO_SIZE,
    "negative_target_size": NO_SIZE,
    "negative_crops_coords_top_left": NO_PAIR,
    "scheduler": [*NEVER, 1, "", "euler", "EulerDiscrete", "eulerdiscretescheduler", "DPMSolverSDEScheduler", "\ud800"],
    "scheduler_config": [True, [], "a", 1],
    "num_inference_steps": [*NO_INTEGER, None, 0, -1, 151, 10**400],
    "timesteps": [True, {}, 999, [], [1000], [-1], [1.0], [1, 1], [1, 2], list(range(151, 0, -1))],
    "sigmas": [
        True,
        {},
        1.0,
        [],
        [1.0],
        [0, 1],
        [1, 1],
        [1001, 1],
        [1, -1],
        [float("inf"), 1],
        list(range(152, 0, -1)),
    ],
    "guidance_scale": [*NO_NUMBER, None, -0.001, 30.001, 31, 10**400, float("inf"), float("-inf"), float("nan")],
    "guidance_rescale": [*NO_PART, None],
    "seed": [*NO_INTEGER, -1, 2**64, 10**400],
    "image": [*NEVER, 1, "", "cat.png", "https://example.com/cat.png", "s3://inputs/../cat.png", "\ud800"],
    "mask_image": [*NEVER, 1, "", "cat.png", INPUT],
    "strength": [*NO_PART, 0, 0.5],
    "refiner": [*NEVER, None, 1, "", "base", "\ud800"],
    "refiner_steps": [*NO_INTEGER, 0, 151, 30],
    "high_noise_fraction": [*NO_PART, 0, 1, 0.8],
    "refiner_strength": [*NO_PART, 0, 0.3],
    "aesthetic_score": [*NO_NUMBER, -0.1, 10.1, 6],
    "negative_aesthetic_score": [*NO_NUMBER, -0.1, 10.1, 2.5],
    "loras": [True, {}, None, "ink", ["ink"], [{}], [{"name": "../ink"}], [LORA | {"scale": 5}], [LORA] * 2],
    "controlnets": [True, {}, None, "depth", [FOLLOWED | {"scale": -1}], [{"name": "depth"}], [FOLLOWED] * 4],
    "ip_adapters": [True, {}, None, "face", [FOLLOWED | {"scale": -1}], [{"name": "face"}], [FOLLOWED] * 4],
    "outputs": [True, {}, None, [], [{"format": "gif"}], [{"quality": 90}], [{"max_side": 15}], [{}] * 9],
    "destination": [True, [], {}, "a", {"prefix": "../a"}, {"prefix": "/a"}, {"prefix": ""}],
}


def test_the_tables_know_every_field() -> None:
    assert set(ACCEPTED) == set(REFUSED) == set(FIELDS)


@pytest.mark.parametrize(("field", "value"), [(field, value) for field in ACCEPTED for value in ACCEPTED[field]])
def test_field_is_accepted_at_its_limits(field: str, value: object) -> None:
    assert validate({"prompt": "a", field: value}).model_dump()[field] == value


@pytest.mark.parametrize(("field", "value"), [(field, value) for field in REFUSED for value in REFUSED[field]])
def test_field_is_refused_beyond_its_limits(field: str, value: object) -> None:
    faults = faults_of({"prompt": "a", field: value})
    assert {re.split("[.:]", f"{where}: {message}".removeprefix(": "))[0] for where, message in faults.items()} == {
        field
    }


def test_what_is_left_out_has_its_default() -> None:
    filled = {name: value for name, value in validate({"prompt": "a red star"}).model_dump().items() if value}
    assert filled == {
        "prompt": "a red star",
        "num_images": 1,
        "num_inference_steps": 30,
        "guidance_scale": 5.0,
        "refiner": "none",
        "outputs": [{"format": "png", "quality": None, "max_side": None}],
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
        "steps": "there is no such field; did you mean num_inference_steps?",
        "negative_prompt": "must not hold control characters",
    }
    assert faults_of({}) == {"prompt": "is missing"}
    assert faults_of({"prompt": "x" * 4001}) == {"prompt": "must have at most 4000 characters"}
    assert faults_of({"prompt": "\ud800"}) == {"prompt": "is no text, it holds half of a surrogate pair"}
    assert faults_of({"prompt": "a", "\ud800": 1}) == {
        "a field's name": "is no text, it holds half of a surrogate pair"
    }


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("promt", "prompt"),
        ("Prompt", "prompt"),
        ("widht", "width"),
        ("steps", "num_inference_steps"),
        ("stpes", "num_inference_steps"),
        ("cfg_scale", "guidance_scale"),
        ("sampler", "scheduler"),
        ("high_noise_frac", "high_noise_fraction"),
        ("guidance", "guidance_scale"),
        ("num_steps", "num_inference_steps"),
        ("mask_url", "mask_image"),
        ("denoise", "strength"),
    ],
)
def test_an_unknown_field_is_told_the_near_one(name: str, near: str) -> None:
    assert faults_of({"prompt": "a", name: 1}) == {name: f"there is no such field; did you mean {near}?"}


@pytest.mark.parametrize("name", ["x" * 5000, "", "model_config", "crop"])
def test_an_unknown_field_that_is_near_to_none_is_told_where_they_are(name: str) -> None:
    assert faults_of({"prompt": "a", name: 1}) == {name[:100]: "there is no such field; the README lists them"}


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
        # Where it stands is told by names, and within an object those are the sender's.
        assert all(MARKER not in fault.message for fault in invalid.faults)
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
    default = validate({"prompt": "a"}).model_dump()[field]
    assert prompt_hash({"prompt": "a", field: default}) != prompt_hash({"prompt": "a"})
    assert validate({"prompt": "a", field: default}) == validate({"prompt": "a"})


def test_a_long_number_is_hashed() -> None:
    digits = b"9" * 4000
    assert canonical(decode_json(b'{"seed": %s}' % digits)) == b'{"seed":%s}' % digits
