"""From a directory into a folder; where it may be written, and what the renderer makes of it."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel

from function.demo.process import plain_environment
from function.render import Model
from function.render.fetching import LOCK
from function.render.manifest import MANIFEST, ORIGIN, mismatch
from function.render.sdxl import SdxlRenderer
from function.render.weights import ModelUnavailable, load_pipeline, load_refiner
from tests.darkroom import MODEL, REPOSITORY, sentence
from tests.prefetch.conftest import PROGRAM, around, files_of, prefetch
from tests.prefetch.hub import COMMIT, Hub
from tests.process.confined import UNSHARED, mounts
from tests.render.sources import save_refiner
from tests.terminal import on_a_terminal
from tests.watch import written_files

SHAPES = REPOSITORY / MODEL
UNET = Path("unet/diffusion_pytorch_model.safetensors")


def test_a_directory_is_copied_and_what_it_holds_is_followed(tmp_path: Path, shapes: dict[str, bytes]) -> None:
    source, folder = tmp_path / "source", tmp_path / "folder"
    shutil.copytree(SHAPES, source)
    assert prefetch(source, folder).returncode == 0
    there = files_of(folder)
    assert {name for name in there if name not in shapes} == {LOCK, MANIFEST, ORIGIN}
    assert {name: there[name] for name in shapes} == shapes
    assert mismatch(folder) is None
    assert "already" in prefetch(source, folder).stdout

    (source / MANIFEST).unlink()
    (source / "scheduler" / "scheduler_config.json").write_text("{}")
    assert "already" not in prefetch(source, folder).stdout
    assert (folder / "scheduler" / "scheduler_config.json").read_text() == "{}"
    assert mismatch(folder) is None


def test_the_renderer_loads_the_folder_and_refuses_it_with_one_byte_changed(tmp_path: Path) -> None:
    assert prefetch(SHAPES, tmp_path).returncode == 0
    SdxlRenderer(model=str(tmp_path), device="cpu").load()
    with (tmp_path / UNET).open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last[0] ^ 1]))
    with pytest.raises(ModelUnavailable, match=f"{UNET} has changed"):
        SdxlRenderer(model=str(tmp_path), device="cpu").load()


def test_what_is_put_to_a_model_is_loaded_as_it_was_fetched(tmp_path: Path) -> None:
    """A VAE and a refiner in the model's variant where they have it, and else without."""
    model = shutil.copytree(SHAPES, tmp_path / "model", ignore=shutil.ignore_patterns(MANIFEST, "README.md"))
    UNet2DConditionModel.from_pretrained(model / "unet").save_pretrained(model / "unet", variant="fp16")
    vae = AutoencoderKL.from_pretrained(model / "vae")
    refiner = save_refiner(tmp_path / "refiner")

    def loaded(number: int) -> tuple[Any, Any]:
        for name in ("vae", "refiner"):
            said = prefetch(tmp_path / name, tmp_path / f"{name} {number}", "--variant", "fp16")
            assert said.returncode == 0, said.stderr
        its_vae = Model(str(tmp_path / f"vae {number}"))
        base = load_pipeline(Model(str(model)), variant="fp16", vae=its_vae, dtype="float32", device="cpu")
        return base.vae, load_refiner(Model(str(tmp_path / f"refiner {number}")), base, "fp16").text_encoder_2

    torch.nn.init.constant_(vae.post_quant_conv.bias, 1.0)
    vae.save_pretrained(tmp_path / "vae")
    first, its_encoder = loaded(1)
    assert (first.post_quant_conv.bias == 1.0).all()

    torch.nn.init.constant_(vae.post_quant_conv.bias, 2.0)
    vae.save_pretrained(tmp_path / "vae", variant="fp16")
    torch.nn.init.constant_(its_encoder.text_projection.weight, 2.0)
    its_encoder.save_pretrained(refiner / "text_encoder_2", variant="fp16")
    second, its_encoder = loaded(2)
    assert (second.post_quant_conv.bias == 2.0).all()
    assert (its_encoder.text_projection.weight == 2.0).all()


def test_the_renderer_refuses_a_folder_that_is_not_whole_yet(tmp_path: Path) -> None:
    assert prefetch(SHAPES, tmp_path).returncode == 0
    (tmp_path / MANIFEST).unlink()
    with pytest.raises(ModelUnavailable, match="is only half there: let `darkroom prefetch` end, or run it again"):
        SdxlRenderer(model=str(tmp_path), device="cpu").load()


def test_a_directory_that_the_renderer_would_refuse(tmp_path: Path) -> None:
    source = shutil.copytree(SHAPES, tmp_path / "source")
    assert sentence(prefetch(source, source)) == f"model {source} is the folder itself: name another folder"
    (source / "unet" / "run.py").touch()
    assert sentence(prefetch(source, tmp_path / "folder")).startswith(
        f"model {source} holds unet/run.py: files of the "
    )
    (source / "unet" / "run.py").unlink()
    (source / UNET).write_bytes(b"?")
    assert f"{UNET} has changed" in sentence(prefetch(source, tmp_path / "folder"))
    assert not (tmp_path / "folder").exists()


def test_two_at_once_are_one_too_many(tmp_path: Path) -> None:
    """Before the first has written anything, too."""
    with (tmp_path / LOCK).open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert "is being filled by another prefetch: wait for its end" in sentence(prefetch(SHAPES, tmp_path))
        assert [path.name for path in tmp_path.iterdir()] == [LOCK]
    assert prefetch(SHAPES, tmp_path).returncode == 0


def test_nothing_is_written_outside_of_the_folder(hub: Hub, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    said = prefetch(f"owner/shapes@{COMMIT}", folder, hub=hub, WRITES_LOG=str(tmp_path / "writes"))
    assert said.returncode == 0, said
    written = written_files(tmp_path / "writes")
    assert written
    assert [path for path in written if not Path(path).is_relative_to(folder)] == []


def confined(folder: Path, size: str) -> subprocess.CompletedProcess[str]:
    """`prefetch` of models/shapes twice, where nothing can be written but a volume of this size, or not even that."""
    folder.mkdir()
    # Other programs' mounts come and go meanwhile; what counts here is shown to be shut.
    shut = "; ".join(f"mount -o remount,bind,ro '{mount}'" for mount in mounts())
    volume = f'mount -t tmpfs -o size={size} volume "$0"' if size else "true"
    script = f'{shut}; ! touch "$0.proof" && {volume} && "$@" && "$@"'
    command = [sys.executable, *PROGRAM, str(SHAPES), str(folder)]
    return subprocess.run(
        [*UNSHARED, "sh", "-c", script, str(folder), *command],
        env=plain_environment() | around(),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


@pytest.mark.usefixtures("namespaces")
def test_a_volume_in_a_file_system_that_is_read_only(tmp_path: Path) -> None:
    done = confined(tmp_path / "volume", "32m")
    assert done.returncode == 0, done
    assert done.stdout.endswith("whole and unchanged: nothing to do\n")


@pytest.mark.usefixtures("namespaces")
def test_a_volume_that_is_too_small(tmp_path: Path) -> None:
    done = confined(tmp_path / "volume", "4m")
    assert done.returncode == 1, done
    assert "MB left, and 14.6 MB have to come: make room, or name a larger volume" in done.stderr


@pytest.mark.usefixtures("namespaces")
def test_a_volume_that_cannot_be_written(tmp_path: Path) -> None:
    done = confined(tmp_path / "volume", "")
    assert done.returncode == 1, done
    assert f"folder {tmp_path}/volume cannot be written by user 0: Read-only file system: " in done.stderr


def test_steps_in_the_log(tmp_path: Path) -> None:
    lines = [json.loads(line) for line in prefetch(SHAPES, tmp_path).stderr.splitlines()]
    assert [line["event"] for line in lines if line["event"] != "came"] == ["fetching", "fetched"]
    steps = [line["bytes"] for line in lines if line["event"] == "came"]
    assert 5 <= len(steps) <= 10
    assert steps == sorted(steps)
    assert steps[-1] == lines[0]["bytes"] == lines[-1]["bytes"]


def test_a_bar_on_a_terminal(tmp_path: Path) -> None:
    command = [sys.executable, *PROGRAM, str(SHAPES), str(tmp_path)]
    shown, _ = on_a_terminal(command, plain_environment() | around())
    assert b"17 files, 14.6 MB" in shown
    assert b"100%" in shown
    assert b"event" not in shown
