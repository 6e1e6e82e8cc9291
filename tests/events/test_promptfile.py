"""Prompt files: from bytes to the prompts in them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.envelope import encode_json
from events.promptfile import InvalidPromptFile, read
from tests.events.test_envelope import BROKEN
from tests.events.values import JSON


def refusal(name: str, body: bytes) -> str:
    """Why the file as a whole cannot be read; fails if it can."""
    with pytest.raises(InvalidPromptFile) as invalid:
        read(name, body)
    (fault,) = invalid.value.faults
    assert fault.where == ""
    assert str(invalid.value) == fault.message
    return fault.message


@pytest.mark.parametrize("name", ["red.json", "in/deep/RED.JSON", ".json", "caf\u00e9.json", "a b.yaml.json"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_object_is_one_prompt(name: str, mark: bytes) -> None:
    assert read(name, mark + b'{"prompt": "caf\xc3\xa9", "seed": 7}') == [{"prompt": "caf\u00e9", "seed": 7}]


def test_list_is_several_prompts_in_order() -> None:
    prompts = [{"prompt": str(n)} for n in range(500)]
    assert read("many.json", json.dumps(prompts, indent=2).encode()) == prompts


def test_bad_prompt_does_not_stop_the_good_ones() -> None:
    body = b'[{"prompt": "a"}, {"prmopt": "b"}, 5, null, [], [{"prompt": "c"}], {"prompt": "d"}]'
    assert read("mixed.json", body) == json.loads(body)


@pytest.mark.parametrize("body", [b"5", b'"a red star"', b"null", b"{}", b"true"])
def test_what_is_no_list_is_one_prompt_as_received(body: bytes) -> None:
    assert read("one.json", body) == [json.loads(body)]


@pytest.mark.parametrize("name", ["red.txt", "red.yaml", "red.json.bak", "json", "red.json/", "", "red.jsonl"])
def test_other_names_are_refused(name: str) -> None:
    assert ".json" in refusal(name, b'{"prompt": "a red star"}')


@pytest.mark.parametrize("body", [b"", b"prompt: a red star\n", *BROKEN.values()], ids=["empty", "YAML", *BROKEN])
def test_broken_file_is_refused_in_words(body: bytes) -> None:
    assert refusal("red.json", body).startswith("the file is not JSON: ")


def test_empty_list_is_refused() -> None:
    assert "no prompt" in refusal("red.json", b" [ ] ")


def test_content_is_not_echoed() -> None:
    for body in (b'{"prompt": secret}', b'{"prompt": "secret}', b"secret", b'{"secret": "\xff"}', b"[NaN, secret]"):
        assert "secret" not in refusal("red.json", body)


@given(st.binary(max_size=60) | JSON.map(encode_json))
def test_any_bytes_are_prompts_or_refused(body: bytes) -> None:
    try:
        assert read("any.json", body)
    except InvalidPromptFile as invalid:
        assert invalid.faults  # noqa: PT017  # both ends are right
