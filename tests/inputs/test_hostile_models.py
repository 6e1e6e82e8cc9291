"""A model's folder with links that lead elsewhere: refused in a sentence, at once and in little memory."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

from function.render.manifest import WRITE, mismatch, runnable
from tests.inputs.measured import MOST_KIB, rows_of

UNET: Final = Path("unet/diffusion_pytorch_model.safetensors")
# Of each folder what is wrong with it, and how far the memory grew meanwhile.
CHECKS: Final = """
import json, sys
from pathlib import Path
from function.render.manifest import mismatch, runnable
from tests.inputs.measure import memory

for folder in map(Path, sys.argv[1:]):
    before = memory("VmRSS")
    print(json.dumps([runnable(folder) or mismatch(folder), memory("VmHWM") - before]), flush=True)
"""


def model(folder: Path) -> Path:
    """A folder with a manifest, as far as that looks at it."""
    for name in ("model_index.json", "vae/config.json", str(UNET)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    subprocess.run(["sh", "-c", WRITE], cwd=folder, check=True)
    assert mismatch(folder) is None
    return folder


def instead(target: str) -> Callable[[Path], None]:
    """Puts a link in the place of the weights."""

    def link(folder: Path) -> None:
        (folder / UNET).unlink()
        (folder / UNET).symlink_to(target)

    return link


def pipe(folder: Path) -> None:
    (folder / UNET).unlink()
    os.mkfifo(folder / UNET)


def beside(name: str, target: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).symlink_to(target)


def others(folder: Path) -> None:
    (folder.parent / "others").mkdir()
    (folder.parent / "others" / "ink.safetensors").touch()
    (folder / "others").symlink_to(folder.parent / "others")


SPOILT: Final[dict[Callable[[Path], None], str]] = {
    instead("/etc/passwd"): f"{UNET} has changed",
    instead("../vae/config.json"): f"{UNET} has changed",
    instead("/dev/zero"): f"{UNET} has changed",
    instead("nowhere"): f"{UNET} has changed",
    instead(UNET.name): f"{UNET} has changed",
    pipe: f"{UNET} has changed",
    beside("vae/more.safetensors", "/dev/zero"): "vae/more.safetensors is not listed",
    beside("weights.bin", "model_index.json"): "holds weights.bin: files of the kinds",
    others: "others/ink.safetensors is not listed",
}


def test_links_in_a_model_are_refused(tmp_path: Path) -> None:
    folders = [model(tmp_path / str(number)) for number in range(len(SPOILT))]
    for spoil, folder in zip(SPOILT, folders, strict=True):
        spoil(folder)
    rows = rows_of("-c", CHECKS, *map(str, folders), seconds=60)
    for (said, grown), expected in zip(rows, SPOILT.values(), strict=True):
        assert expected in said
        assert "\n" not in said
        assert grown < MOST_KIB


def test_links_that_lead_back_are_not_followed_without_end(tmp_path: Path) -> None:
    """Followed, it would be forty folders, and two of them two to the fortieth."""
    folder = model(tmp_path / "model")
    (folder / "vae" / "above").symlink_to(folder)
    assert mismatch(folder) is None
    assert runnable(folder) is None


def test_a_link_to_a_folder_beside_the_model_is_part_of_it(tmp_path: Path) -> None:
    folder = model(tmp_path / "model")
    (folder / "vae").rename(tmp_path / "vae")
    (folder / "vae").symlink_to(tmp_path / "vae")
    assert mismatch(folder) is None
    (tmp_path / "vae/config.json").write_text("another")
    assert "vae/config.json has changed" in str(mismatch(folder))
