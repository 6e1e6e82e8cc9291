"""A model's directory holds nothing that can run, and beside a manifest what that lists; all else is refused."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from function.render.manifest import MANIFEST, RUNNABLE, WRITE, mismatch, runnable
from function.render.sdxl import SdxlRenderer
from function.render.weights import ModelUnavailable
from tests.absent import absent
from tests.darkroom import MODEL, REPOSITORY

COMMIT = "0123456789abcdef0123456789abcdef01234567"
Spoil = Callable[[Path], None]


def write_manifest(folder: Path) -> Path:
    subprocess.run(["sh", "-c", WRITE], cwd=folder, check=True)
    return folder


@pytest.fixture
def model(untrained: Path, tmp_path: Path) -> Path:
    """A model's directory with a manifest."""
    return write_manifest(shutil.copytree(untrained, tmp_path / "model"))


def refusal(name: str, **settings: str) -> str:
    """The sentence with which a model is refused."""
    with pytest.raises(ModelUnavailable) as refused:
        SdxlRenderer(model=name, device="cpu", **settings).load()  # type: ignore[arg-type]
    sentence = str(refused.value)
    assert "\n" not in sentence
    return sentence


@pytest.mark.parametrize("suffix", [*sorted(RUNNABLE), ".PY", ".Bin"])
@pytest.mark.parametrize("place", ["", "unet", "notes/deep", ".hidden"])
def test_what_can_run_is_refused_wherever_it_lies(tmp_path: Path, place: str, suffix: str) -> None:
    (tmp_path / place).mkdir(parents=True, exist_ok=True)
    assert runnable(tmp_path) is None
    (tmp_path / place / f"x{suffix}").touch()
    complaint = runnable(tmp_path)
    assert complaint is not None
    assert complaint.startswith(f"holds {(Path(place) / 'x').as_posix()}{suffix}: files of the kinds ")
    assert complaint.endswith(" can run code and are never read; remove them")


def test_the_kinds_are_those_of_the_issue() -> None:
    assert {".py", ".bin", ".pt", ".pth", ".pkl", ".ckpt"} == RUNNABLE


def test_many_are_not_all_named(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"{number}.bin").touch()
    assert str(runnable(tmp_path)).startswith("holds 0.bin, 1.bin, 2.bin and 2 more: ")


def test_a_model_and_a_vae_that_hold_such_a_file(model: Path) -> None:
    (model / "vae" / "diffusion_pytorch_model.bin").touch()
    assert refusal(str(model)).startswith(f"model {model} holds vae/diffusion_pytorch_model.bin: ")
    vae = model / "vae"
    assert refusal(MODEL, vae=str(vae)).startswith(f"model {vae} holds diffusion_pytorch_model.bin: ")


def changed(folder: Path) -> None:
    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def missing(folder: Path) -> None:
    (folder / "tokenizer" / "merges.txt").unlink()


def added(folder: Path) -> None:
    (folder / "unet" / "other.safetensors").touch()


def renamed(folder: Path) -> None:
    (folder / "tokenizer_2" / "vocab.json").rename(folder / "tokenizer_2" / "words.json")


def emptied(folder: Path) -> None:
    (folder / MANIFEST).write_text("")


def scribbled(folder: Path) -> None:
    (folder / MANIFEST).write_text("# sums\n" + (folder / MANIFEST).read_text())


def not_text(folder: Path) -> None:
    (folder / MANIFEST).write_bytes(b"\xff\xfe")


def beyond(folder: Path) -> None:
    other = folder.parent / "other"
    other.touch()
    with (folder / MANIFEST).open("a") as manifest:
        manifest.write(f"{hashlib.sha256().hexdigest()}  ../other\n")


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (changed, "lists: unet/diffusion_pytorch_model.safetensors has changed; fetch it again"),
        (missing, "lists: tokenizer/merges.txt is missing; fetch"),
        (added, "lists: unet/other.safetensors is not listed; fetch"),
        (renamed, "lists: tokenizer_2/vocab.json is missing, tokenizer_2/words.json is not listed; fetch"),
        (emptied, "lists: model_index.json is not listed, scheduler/scheduler_config.json is not listed, "),
        (scribbled, "has a SHA256SUMS whose line 1 is not one of sha256sum's; write it again with: find "),
        (not_text, "has a SHA256SUMS that cannot be read; write it again with: find "),
        (beyond, "lists: ../other is missing; fetch"),
    ],
)
def test_what_is_not_as_the_manifest_lists_it(model: Path, spoil: Spoil, sentence: str) -> None:
    assert mismatch(model) is None
    spoil(model)
    refused = refusal(str(model))
    assert refused.startswith(f"model {model} ")
    assert sentence in refused
    assert refused.endswith(WRITE)


def test_a_hubs_snapshot(untrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It consists of links to blobs, under a pinned commit."""
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    snapshot = tmp_path / "models--owner--name" / "snapshots" / COMMIT
    for source in (path for path in untrained.rglob("*") if path.is_file()):
        link = snapshot / source.relative_to(untrained)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(source)
    write_manifest(snapshot)
    assert (snapshot / MANIFEST).read_text().count("\n") == sum(path.is_file() for path in untrained.rglob("*"))
    assert mismatch(snapshot) is None
    (snapshot / ".gitattributes").touch()
    assert mismatch(snapshot) is None
    (snapshot / "note.txt").touch()
    assert "note.txt is not listed" in refusal("owner/name", revision=COMMIT)
    (snapshot / "unet" / "diffusion_pytorch_model.bin").symlink_to(os.devnull)
    assert f"model {snapshot} holds unet/diffusion_pytorch_model.bin" in refusal("owner/name", revision=COMMIT)


def test_sha256sum_checks_the_same_manifest(model: Path) -> None:
    if shutil.which("sha256sum") is None:
        absent("there is no sha256sum here")

    def check() -> int:
        return subprocess.run(
            ["sha256sum", "--check", "--quiet", MANIFEST], cwd=model, capture_output=True, check=False
        ).returncode

    assert check() == 0
    # As others write it: for bytes, and from the directory itself.
    lines = (model / MANIFEST).read_text().replace("  ", " *./")
    (model / MANIFEST).write_text(lines)
    assert check() == 0
    assert mismatch(model) is None
    changed(model)
    assert check() != 0


def test_the_shipped_model_is_what_its_manifest_lists() -> None:
    assert (REPOSITORY / MODEL / MANIFEST).is_file()
    assert mismatch(REPOSITORY / MODEL) is None, (
        "what was changed on purpose needs a new manifest; docs/models.md says how"
    )
    assert runnable(REPOSITORY / MODEL) is None


def test_the_page_gives_the_command_and_the_kinds() -> None:
    page = (REPOSITORY / "docs" / "models.md").read_text("utf-8")
    assert f"\n{WRITE}\n" in page
    assert all(f"`*{suffix}`" in page for suffix in RUNNABLE)


def test_a_manifest_is_checked_at_the_speed_of_the_disk(tmp_path: Path) -> None:
    size = 256 << 20
    (tmp_path / "weights.safetensors").write_bytes(bytes(size))
    write_manifest(tmp_path)
    began = time.process_time()
    assert mismatch(tmp_path) is None
    seconds = time.process_time() - began
    print(f"\na manifest is checked at {size / seconds / 1e9:.2f} GB a second of one core")
    assert size / seconds > 100e6
