"""What a file says of how it was drawn is read back: by A1111's reader, by exiftool, and whole by ours."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from events.prompt import Output, faults_of
from events.prompt.schedulers import settled
from function import __version__
from function.finish import File
from function.finish.finishing import Finishing
from function.finish.metadata import infotext
from function.finish.reading import seen
from function.render import Picture
from tests.finish.a1111 import parameters_in, parsed
from tests.finish.conftest import Exiftool
from tests.finish.pictures import FORMATS, MODEL, SOFTWARE, finished, origin, ramp
from tests.sizing import sized

LETTERS = st.characters(codec="utf-8", exclude_categories=("C", "Z"))
# Without what A1111's own format has no room for: blanks at the ends of lines, and lines that look like its own.
LINES = st.text(LETTERS, min_size=1, max_size=60).filter(lambda line: not line.startswith("Negative"))
TEXTS = st.lists(LINES, min_size=1, max_size=4).map("\n".join)


@settings(deadline=None)
@given(TEXTS, TEXTS, st.integers(0, 2**64 - 1), st.sampled_from(FORMATS))
def test_a1111s_reader_finds_prompt_and_settings(prompt: str, negative: str, seed: int, format: Any) -> None:
    drawn = Picture(np.zeros((8, 8, 3), np.uint8), seed)
    of = origin(prompt, negative_prompt=negative, guidance_scale=6.5, num_inference_steps=20)
    (file,) = Finishing()(drawn, of, [Output(format=format)]).files
    text = parameters_in(file.body)
    assert text is not None
    assert parsed(text) == {
        "Prompt": prompt,
        "Negative prompt": negative,
        "Steps": "20",
        "Sampler": "Euler",
        "CFG scale": "6.5",
        "Seed": str(seed),
        "Size-1": "128",
        "Size-2": "96",
        "Model": "models/shapes, the small one",
        "Version": f"Darkroom {__version__}",
    }


@pytest.mark.parametrize(
    "name", ["Euler a", "DPM++ 2M Karras", "DPM++ 3M SDE Exponential", "UniPC", "DDIM", "Heun", "TCDScheduler"]
)
def test_a_sampler_goes_by_a1111s_name_if_it_has_one(name: str) -> None:
    # As it is rendered: the class, and what that is told.
    kind, told = settled(name, None)
    text = infotext({**origin().prompt, "scheduler": kind, "scheduler_config": told or None}, "a", 1)
    assert parsed(text)["Sampler"] == name


@pytest.mark.parametrize("format", FORMATS)
def test_the_whole_is_read_back_from_each_format(format: Any) -> None:
    of = origin("ein Stern, \u8d64\u3044\u661f \u2b50", negative_prompt="trüb\nblass")
    (file,) = finished(Output(format=format), of=of).files
    found = seen(file.body)
    assert (found.format, found.width, found.height) == (format.upper(), 128, 96)
    assert found.record == {
        "key": of.key,
        "seed": 8,
        "prompt": {name: value for name, value in of.prompt.items() if value is not None},
        "model": {"name": MODEL.name, "revision": MODEL.revision},
        "software": SOFTWARE,
    }
    assert found.parameters == parameters_in(file.body)


def longest() -> dict[str, str]:
    """Texts as long as they may be, of signs that take four bytes in every encoding."""
    texts = {"prompt": "\U0001f31f" * 2900, "negative_prompt": "\U0001f31f" * 2900}
    assert faults_of(texts) == ()
    assert faults_of({name: text * 2 for name, text in texts.items()}), "they are far from the longest"
    return texts


@pytest.mark.parametrize("texts", [longest(), {"prompt": "x" * 4000, "negative_prompt": "y" * 4000}])
@pytest.mark.parametrize("format", FORMATS)
def test_the_longest_prompt_has_room_in_each_format(format: Any, texts: dict[str, str]) -> None:
    (file,) = finished(Output(format=format), of=origin(**texts)).files
    found = seen(file.body)
    assert found.record is not None
    assert found.record["prompt"]["negative_prompt"] == texts["negative_prompt"]
    assert found.parameters is not None
    assert parsed(found.parameters)["Prompt"] == texts["prompt"]


@pytest.mark.parametrize("format", FORMATS)
def test_without_metadata_nothing_is_said(format: Any) -> None:
    secret = origin("a secret")
    kept, bare = (
        Finishing(metadata=metadata)(Picture(ramp(), 8), secret, [Output(format=format)]).files[0].body
        for metadata in (True, False)
    )
    for told, body in ((True, kept), (False, bare)):
        read = seen(body)
        assert (read.record is not None, read.parameters is not None) == (told, told)
        assert (b"a secret" in body) == told
    with Image.open(io.BytesIO(kept)) as one, Image.open(io.BytesIO(bare)) as other:
        assert np.array_equal(np.asarray(one), np.asarray(other)), "what is said changes no pixel"


@pytest.mark.chaos
def test_exiftool_reads_all_of_many_files(exiftool: Exiftool, tmp_path: Path) -> None:
    written: dict[str, File] = {}
    for number in range(sized(3, 50)):
        of = origin(f"star no. {number}, \u8d64\u3044\u661f", negative_prompt="trüb", num_inference_steps=number + 1)
        for file in finished(of=of).files:
            written[f"{number}.{file.suffix}"] = file
            (tmp_path / f"{number}.{file.suffix}").write_bytes(file.body)
    report = exiftool(tmp_path, "-charset", "utf8", "-error", "-FileType", "-UserComment", "-Parameters")
    assert len(report) == len(written)
    for row in report:
        name = Path(row["SourceFile"]).name
        text = row.get("Parameters") or row["UserComment"]
        assert text == parameters_in(written[name].body)
        assert f"star no. {name.split('.', maxsplit=1)[0]}, \u8d64\u3044\u661f" in text
        assert "Error" not in row
