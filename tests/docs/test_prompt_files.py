"""The page on prompt files is true: its examples are read as it says."""

from __future__ import annotations

import re
from typing import Final

import pytest

from events.promptfile import DEFAULTS, read
from events.promptfile.template import MAX_TEMPLATE
from function.config import Settings, variables
from tests.darkroom import REPOSITORY

PAGE: Final = (REPOSITORY / "docs" / "prompt-files.md").read_text("utf-8")
BLOCKS: Final = [
    (found[1].split(), found[2]) for found in re.finditer(r"^```([^\n]+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
]
FILES: Final = {info[1]: (info[2:], text) for info, text in BLOCKS if len(info) > 1}


@pytest.mark.parametrize("name", [name for name, (count, _) in FILES.items() if count])
def test_an_example_holds_as_many_prompts_as_it_says(name: str) -> None:
    (count,), text = FILES[name]
    entries = list(read(name, text.encode()))
    assert len(entries) == int(count)
    assert not any(entry.faults for entry in entries)


def test_every_format_has_an_example() -> None:
    headings = re.findall(r"`(\.\w+)`", "".join(re.findall(r"^### (.*)$", PAGE, re.MULTILINE)))
    assert {f".{name.rpartition('.')[2]}" for name in FILES} == set(headings) - {".yml"}
    assert set(headings) == {".json", ".jsonl", ".yaml", ".yml", ".csv", ".txt"}


def test_the_faults_are_those_that_are_shown() -> None:
    ((_, shown),) = [(info, text) for info, text in BLOCKS if info == ["text"]]
    _, text = FILES["faults.jsonl"]
    told = [str(fault) for entry in read("faults.jsonl", text.encode()) for fault in entry.faults]
    assert told == shown.splitlines()


def test_the_prompts_are_those_that_are_described() -> None:
    received = {name: [entry.received for entry in read(name, text.encode())] for name, (_, text) in FILES.items()}
    assert received["a.json"][1] == {
        "prompt": "a blue ring on a white background",
        "num_inference_steps": 30,
        "width": 128,
        "height": 128,
    }
    assert received["a.yaml"][1]["negative_prompt"] == "no"  # type: ignore[index]
    assert received["a.csv"][0] == {"prompt": "a red star, on a black background", "seed": 1}
    assert received["matrix.json"][:3] == [
        {"prompt": f"a cat in {style}", "guidance_scale": scale}
        for style, scale in (("oil", 3), ("oil", 7.5), ("ink", 3))
    ]
    assert [prompt["seed"] for prompt in received["runs.yaml"]] == [7, 9, 11]  # type: ignore[index]


def test_the_limits_are_those_of_the_code() -> None:
    rows = dict(re.findall(r"^\| ([^|]+) \| ([\d,]+ ?\w*) \|", PAGE, re.MULTILINE))
    assert rows["a file"] == f"{DEFAULTS.size >> 20} MiB"
    assert rows["prompts as written"] == f"{DEFAULTS.prompts:,}"
    assert rows["prompts with `matrix` and `runs`"] == f"{DEFAULTS.expanded:,}"
    assert rows["an entry with `matrix` or `runs`; `defaults`"] == f"{MAX_TEMPLATE >> 10} KiB"
    assert set(re.findall(r"`(DARKROOM_\w+)`", PAGE)) == {
        variables()[name]
        for name in Settings.model_fields
        if name in ("max_prompt_file", "max_prompts", "max_expanded")
    }
