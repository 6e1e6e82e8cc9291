"""docs/install.md, word for word: the installation that these tests run on is its own, and so is the first prompt."""

from __future__ import annotations

import io
import time
from pathlib import Path

import pytest
from PIL import Image

from tests.e2e import page
from tests.e2e.figures import Figures
from tests.e2e.installation import IMAGES, Installation
from tests.judge import is_right

pytestmark = pytest.mark.e2e


def test_the_first_prompt_of_the_page_gives_a_picture(
    installation: Installation, figures: Figures, tmp_path: Path
) -> None:
    # What a run before this one may have left there.
    installation.s3.delete_object(Bucket=IMAGES, Key="results/prompts/first.json.0.json")
    installation.asleep()
    began = time.monotonic()
    page.follow("prompt", tmp_path)
    figures.note("install", "the first prompt, until there is a picture", time.monotonic() - began)
    picture = Image.open(io.BytesIO((tmp_path / "first.png").read_bytes()))
    assert is_right(picture, "a red star on a white background")
