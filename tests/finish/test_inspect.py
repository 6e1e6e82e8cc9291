"""`darkroom inspect` says what a file says of itself, and of a stranger's one sentence."""

from __future__ import annotations

import io
import json
import random
import warnings
import zlib
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from events.prompt import Output
from function import __version__
from function.cli import main
from function.finish.finishing import Finishing
from function.finish.marking import Marker
from function.finish.png import png
from function.finish.reading import NoPicture, seen
from function.finish.xmp import source_type
from function.render import Picture
from tests.darkroom import darkroom
from tests.events.values import JSON, TEXT
from tests.finish.marked import signer
from tests.finish.pictures import EACH, FORMATS, finished, origin, ramp
from tests.sizing import sized

MOVING: Final = "\x1b[2J\u202e"
RECORD: Final = ("key", "seed", "prompt", "model", "software", "adapters")


def written(folder: Path, **bodies: bytes) -> list[str]:
    """Files with these names and contents."""
    for name, body in bodies.items():
        (folder / name).write_bytes(body)
    return [str(folder / name) for name in bodies]


def test_each_format_says_how_it_was_drawn_and_by_whom_it_is_signed(tmp_path: Path) -> None:
    finish = Finishing(Marker(signer=signer()))
    of = origin("a red star", negative_prompt="blurry\nugly", num_inference_steps=12)
    files = finish(Picture(ramp(), 8), of, EACH).files
    paths = written(tmp_path, **{f"star.{file.suffix}": file.body for file in files})
    told = darkroom("inspect", *paths)
    assert told.returncode == 0, told.stderr
    assert "Traceback" not in told.stderr
    parts = told.stdout.split(str(tmp_path) + "/")[1:]
    for part, file, kind in zip(parts, files, FORMATS, strict=True):
        head, *lines = part.splitlines()
        assert head == f"star.{file.suffix}: {kind.upper()}, 128 x 96, {len(file.body):,} bytes"
        said = {line[:11].strip(): line[11:] for line in lines}
        assert said["prompt"] == "a red star"
        assert said["without"] == "blurry\\nugly"
        assert said["seed"] == "8"
        assert "num_inference_steps 12" in said["with"]
        assert said["model"] == f"name models/shapes, the small one, revision {'0' * 40}"
        assert said["key"] == of.key
        assert said["source"].endswith("/trainedAlgorithmicMedia")
        assert "not to be trusted" in said["signed"]
        assert said["signed"].endswith("; valid")


def test_as_json_it_is_one_line_for_each_file_with_all(tmp_path: Path) -> None:
    (file,) = finished(Output(format="webp")).files
    paths = written(tmp_path, ours=file.body, text=b"no picture")
    told = darkroom("inspect", "--json", *paths)
    assert told.returncode == 1, "one of them is no picture"
    ours, text = map(json.loads, told.stdout.splitlines())
    assert (ours["format"], ours["width"], ours["height"], ours["size"]) == ("WEBP", 128, 96, len(file.body))
    assert (ours["record"]["seed"], ours["record"]["software"]["torch"]) == (8, "2.15.0")
    assert ours["parameters"].endswith(f"Version: Darkroom {__version__}")
    assert ours["mark"] == {"source_type": None, "signature": "not signed", "signer": None}
    assert text == {"file": paths[1], "error": "is no PNG, JPEG, WebP or AVIF that can be read"}


def test_of_a_strangers_file_it_says_what_is_there_and_moves_no_cursor(tmp_path: Path) -> None:
    pixels = np.zeros((4, 6, 3), np.uint8)
    jpeg = io.BytesIO()
    Image.fromarray(pixels).save(jpeg, "JPEG")
    forged: dict[str, Any] = {"key": MOVING, "seed": [MOVING], "prompt": {}, "model": MOVING}
    paths = written(
        tmp_path,
        bare=jpeg.getvalue(),
        a1111=png(pixels, {"parameters": f"a star{MOVING}\nSteps: 3"}),
        forged=png(pixels, {"darkroom": json.dumps(forged | {"software": 1, "adapters": "ab"})}),
    )
    told = darkroom("inspect", *paths)
    assert told.returncode == 0, told.stderr
    bare, *rest = told.stdout.splitlines()
    assert bare == f"{paths[0]}: JPEG, 6 x 4, {len(jpeg.getvalue())} bytes; it says nothing of how it was made"
    assert "  says     a star\\x1b[2J\\u202e" in rest
    assert not set("\x1b\u202e") & set(told.stdout)
    assert "  key      \\x1b[2J\\u202e" in rest


VALUES: Final = JSON | st.recursive(st.none(), lambda inner: st.lists(inner, min_size=1, max_size=1), max_leaves=90)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.fixed_dictionaries(dict.fromkeys(RECORD, VALUES) | {"prompt": st.dictionaries(TEXT, VALUES)}) | JSON)
@example(dict.fromkeys(RECORD, 1) | {"prompt": {}, "adapters": 5})
@example(dict.fromkeys(RECORD, 1) | {"prompt": {}, "adapters": None})
@example(dict.fromkeys(RECORD, 1) | {"prompt": None})
def test_whatever_json_stands_there_is_listed_or_nothing(tmp_path: Path, value: object) -> None:
    """Never a traceback, nor a line that is not ours."""
    (path,) = written(tmp_path, file=png(np.zeros((1, 1, 3), np.uint8), {"darkroom": json.dumps(value)}))
    for more in ([], ["--json"]):
        run = CliRunner().invoke(main, ["inspect", *more, path])
        assert (run.exit_code, run.exception) == (0, None), run.output
        head, *lines = run.stdout.splitlines()
        assert all(line.startswith("  ") and line.isprintable() for line in lines)
        assert json.loads(head)["file"] == path if more else head.startswith(f"{path}: PNG, 1 x 1, ")


@pytest.mark.parametrize(
    "text", ["NaN", "[1e999]", "[" * 900 + "]" * 900, '{"a": 1', "1" * 5000], ids=lambda text: text[:9]
)
def test_what_is_no_json_that_can_be_told_says_nothing(text: str) -> None:
    record = dict.fromkeys(RECORD, 1) | {"prompt": {}, "seed": "HERE"}
    file = png(np.zeros((1, 1, 3), np.uint8), {"darkroom": json.dumps(record).replace('"HERE"', text)})
    assert seen(file).record is None


def chunk(kind: bytes, body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x89PNG\r\n\x1a\n",
        b"GIF89a" + bytes(40),
        finished(Output(format="png")).files[0].body[:60],
        # Texts that would take 300 MB once they are unpacked, and Exif that leads nowhere.
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", bytes.fromhex("0000000100000001 08 02 00 00 00"))
        + chunk(b"zTXt", b"darkroom\0\0" + zlib.compress(bytes(300_000_000), 9)),
    ],
    ids=["empty", "head", "gif", "cut", "bomb"],
)
def test_what_is_no_picture_is_said_to_be_none(body: bytes) -> None:
    with pytest.raises(NoPicture, match="is no PNG, JPEG, WebP or AVIF"):
        seen(body)


@pytest.mark.chaos
def test_a_damaged_file_is_read_as_far_as_it_goes_or_none() -> None:
    luck = random.Random(0)
    files = [file.body for file in finished(pixels=ramp(16, 16)).files]
    results: set[bool | None] = set()
    for number in range(sized(1000, 50_000)):
        body = bytearray(files[number % len(files)])
        for _ in range(luck.choice([1, 2, 5, 30])):
            body[luck.randrange(min(len(body), 1500))] = luck.choice([0, 255, luck.randrange(256)])
        try:
            results.add(seen(bytes(body)).record is not None)
        except NoPicture:
            results.add(None)
    assert results == {True, False, None}


@pytest.mark.parametrize("exif", [b"MM\0\x2a\0\0\0\x08\xff\xff" + bytes(40), b"no TIFF"], ids=["far", "none"])
def test_exif_that_leads_nowhere_says_nothing(exif: bytes) -> None:
    file = io.BytesIO()
    Image.fromarray(ramp()).save(file, "JPEG", exif=b"Exif\0\0" + exif)
    with warnings.catch_warnings():
        # What Pillow thinks of it would stand between our lines.
        warnings.simplefilter("error")
        found = seen(file.getvalue())
        assert source_type(file.getvalue()) is None
    assert (found.format, found.record, found.parameters) == ("JPEG", None, None)


def test_a_text_called_exif_is_none() -> None:
    whole = png(np.zeros((1, 1, 3), np.uint8), {"parameters": "a star"})
    text = chunk(b"zTXt", b"exif\0\0" + zlib.compress(b"Exif\0\0hello"))
    assert seen(whole[:33] + text + whole[33:]).parameters == "a star"
