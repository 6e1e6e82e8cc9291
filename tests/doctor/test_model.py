"""What the doctor says of the model, where pictures are drawn and where they are not."""

from __future__ import annotations

import hashlib
import json
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from function.render.manifest import MANIFEST, ORIGIN, WRITE
from tests.darkroom import REPOSITORY
from tests.doctor.running import Report, report

MODEL: Final = REPOSITORY / "models" / "shapes"
REVISION: Final = "0" * 40
# An environment such as intake's, in which nothing is drawn.
DRAWS_NOTHING: Final = "import sys\nsys.modules |= dict.fromkeys(('torch', 'huggingface_hub'))\n"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model of the test's own, to spoil."""
    return Path(shutil.copytree(MODEL, tmp_path / "shapes"))


def said_of(named: Path | str, **more: str) -> Report:
    said = report({"DARKROOM_MODEL": str(named), **more}, "model")
    assert all(row["mend"] for row in said.findings if row["state"] == "wrong")
    return said


def of_model(named: Path | str, **more: str) -> list[str]:
    return said_of(named, **more).sentences()


def listed_anew(folder: Path) -> None:
    """With a manifest of what is in it now."""
    subprocess.run(["bash", "-c", f"cd {shlex.quote(str(folder))} && {WRITE}"], check=True)


def cached(model: Path, cache: Path, name: str = "owner/name") -> Path:
    """A hub model in the hub's cache, with the files of this one but its manifest; returns its folder."""
    folder = cache / f"models--{name.replace('/', '--')}" / "snapshots" / REVISION
    shutil.copytree(model, folder)
    (folder / MANIFEST).unlink()
    return folder


def test_a_model_is_looked_at_to_the_byte(model: Path) -> None:
    vae = model.parent / "vae"
    shutil.copytree(model / "vae", vae)
    listed_anew(vae)
    assert of_model(model, DARKROOM_VAE=str(vae)) == []
    spoiled = model / "vae" / "config.json"
    whole = spoiled.read_bytes()
    spoiled.write_bytes(whole + b" ")
    (changed,) = of_model(model)
    assert f"the model in {model} is not what its SHA256SUMS lists: vae/config.json has changed" in changed
    (model / ORIGIN).write_text('{"model": "owner/name", "revision": "0123", "variant": "fp16"}')
    (mend,) = said_of(model).mends("model-hashed")
    assert mend == f"darkroom prefetch owner/name@0123 {model} --variant fp16"
    (model / ORIGIN).unlink()
    spoiled.write_bytes(whole)
    (model / MANIFEST).unlink()
    said = said_of(model)
    assert said.sentences() == [f"the model in {model} has no SHA256SUMS, so nobody notices a file that changed"]
    # The command that is printed mends it.
    subprocess.run(["bash", "-c", said.mends("model-hashed")[0]], check=True)
    assert of_model(model) == []


def test_a_model_of_another_kind(model: Path) -> None:
    index = model / "model_index.json"
    read = json.loads(index.read_bytes())
    index.write_text(json.dumps(read | {"_class_name": "FluxPipeline"}))
    listed_anew(model)
    said = said_of(model)
    wanted = "is a FluxPipeline; only a StableDiffusionXLPipeline can be used"
    assert said.wrong("model-there") == [f"the model in {model} {wanted}"]
    assert said.mends("model-there")[0].startswith("darkroom prefetch stabilityai/stable-diffusion-xl-base-1.0@")
    index.write_text(json.dumps(read))
    listed_anew(model)
    (variant,) = of_model(model, DARKROOM_MODEL_VARIANT="fp16")
    assert "has no weights of the variant fp16" in variant
    # The renderer reads a VAE from the folder itself.
    (vae,) = of_model(model, DARKROOM_VAE=str(model))
    assert vae == f"the VAE in {model} is not in diffusers' layout: its config.json is missing or broken"


def test_a_refiner_is_looked_at_as_the_model_is(model: Path) -> None:
    refiner = Path(shutil.copytree(model, model.parent / "refiner"))
    said = said_of(model, DARKROOM_REFINER=str(refiner))
    kinds = "is a StableDiffusionXLPipeline; only a StableDiffusionXLImg2ImgPipeline can be used"
    assert said.sentences() == [f"the refiner in {refiner} {kinds}"]
    assert said.mends("model-there")[0].startswith("darkroom prefetch stabilityai/stable-diffusion-xl-refiner-1.0@")
    index = refiner / "model_index.json"
    index.write_text(json.dumps(json.loads(index.read_bytes()) | {"_class_name": "StableDiffusionXLImg2ImgPipeline"}))
    (changed,) = of_model(model, DARKROOM_REFINER=str(refiner))
    assert f"the refiner in {refiner} is not what its SHA256SUMS lists: model_index.json has changed" in changed
    listed_anew(refiner)
    assert of_model(model, DARKROOM_REFINER=str(refiner)) == []
    (kind,) = of_model(refiner)
    assert kind.endswith("is a StableDiffusionXLImg2ImgPipeline; only a StableDiffusionXLPipeline can be used")
    assert said_of(model, DARKROOM_REFINER="owner/name@main").mends("model-there") == [
        "export DARKROOM_REFINER=owner/name@COMMIT  # the 40 hex digits of it"
    ]


def test_adapters_are_what_their_list_says(tmp_path: Path) -> None:
    list_of_them, weights = tmp_path / "adapters.json", tmp_path / "ink.safetensors"
    header = json.dumps({"unet.lora": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}).encode()
    weights.write_bytes(len(header).to_bytes(8, "little") + header + b"x")
    entry = {"kind": "lora", "path": weights.name, "sha256": hashlib.sha256(weights.read_bytes()).hexdigest()}
    said = said_of(MODEL, DARKROOM_ADAPTERS=str(list_of_them))
    assert said.wrong("model-there") == [f"adapters {list_of_them} cannot be read: No such file or directory"]
    mend = f"darkroom prefetch adapters.json {tmp_path}  # adapters.json is your list, see docs/adapters.md"
    assert said.mends("model-there") == [mend]
    list_of_them.write_text(json.dumps({"ink": entry}))
    assert of_model(MODEL, DARKROOM_ADAPTERS=str(list_of_them)) == []
    weights.write_bytes(weights.read_bytes()[:-1] + b"y")
    changed = said_of(MODEL, DARKROOM_ADAPTERS=str(list_of_them))
    assert changed.wrong("model-hashed")[0].startswith(f"adapter ink: {weights} has the sha256 ")
    assert changed.mends("model-hashed") == [mend]


def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    said = said_of(gone, DARKROOM_MODEL_VARIANT="fp16")
    (sentence,) = said.wrong("model-there")
    (mend,) = said.mends("model-there")
    assert mend.startswith("darkroom prefetch stabilityai/stable-diffusion-xl-base-1.0@")
    assert f" {gone} --variant fp16 " in mend
    assert sentence.startswith(f"model {gone}: there is no such directory")
    (vae,) = of_model(MODEL, DARKROOM_VAE=str(gone))
    assert vae.startswith(f"VAE {gone}: there is no such directory")


def test_a_mistyped_model_is_one_where_pictures_are_drawn(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    (sentence,) = of_model("/modles/sdxl")
    assert sentence.startswith("model /modles/sdxl: there is no such directory")
    (tmp_path / "sitecustomize.py").write_text(DRAWS_NOTHING)
    elsewhere = {"PYTHONPATH": str(tmp_path)}
    skipped = said_of("/modles/sdxl", **elsewhere)
    assert skipped.sentences("skipped") == ["/modles, where the model lies, is not mounted here"]
    more = {"DARKROOM_REFINER": "/modles/refiner", "DARKROOM_ADAPTERS": "/modles/adapters.json"}
    skipped = said_of("/modles/sdxl", **more, **elsewhere)
    assert (skipped.states("model-there"), len(skipped.findings)) == ({"skipped"}, 3)
    assert said_of("owner/name", DARKROOM_MODEL_REVISION=REVISION, **elsewhere).states("model-there") == {"skipped"}


def test_a_name_that_means_nothing(model: Path) -> None:
    said = said_of("owner/name", DARKROOM_VAE="owner/vae@main")
    assert said.mends("model-there") == [
        "export DARKROOM_MODEL_REVISION=COMMIT  # of owner/name: the 40 hex digits that are meant",
        "export DARKROOM_VAE=owner/vae@COMMIT  # the 40 hex digits of it",
    ]
    both = said_of(model, DARKROOM_MODEL_REVISION=REVISION)
    assert both.mends("model-there") == ["unset DARKROOM_MODEL_REVISION"]


def test_a_model_of_the_hub_is_looked_for_in_its_cache(tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    named = {"DARKROOM_MODEL_REVISION": REVISION, "HF_HUB_CACHE": str(tmp_path)}
    said = said_of("owner/name", **named)
    assert said.sentences() == [f"the model owner/name at {REVISION} is not in this machine's hub cache, {tmp_path}"]
    mend = (
        f"hf download owner/name --revision {REVISION} --include '*.json' --include '*.txt' --include '*.safetensors'"
    )
    assert said.mends("model-there") == [mend]
    folder = cached(MODEL, tmp_path)
    assert of_model("owner/name", **named) == []
    (folder / "unet" / "diffusion_pytorch_model.bin").touch()
    refused = said_of("owner/name", **named)
    assert f"at {REVISION} holds unet/diffusion_pytorch_model.bin" in refused.wrong("model-hashed")[0]
    assert refused.mends("model-hashed")[0].startswith(f"darkroom prefetch owner/name@{REVISION} $FOLDER  # ")
    (folder / "unet" / "diffusion_pytorch_model.bin").unlink()
    shutil.rmtree(folder / "tokenizer")
    (lacking,) = of_model("owner/name", **named)
    assert lacking.endswith("lacks tokenizer, named in its model_index.json")
