"""What cannot be loaded is refused in one clear sentence, and nothing foreign is run or fetched."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import diffusers
import pytest
import torch

from function.render import Model
from function.render.sdxl import SdxlRenderer
from function.render.weights import WEIGHED, Dtype, ModelUnavailable, load_pipeline, model_named, vae_named

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_names(tmp_path: Path) -> None:
    folder = tmp_path / "a@b"
    folder.mkdir()
    assert model_named(str(folder)) == vae_named(str(folder)) == Model(str(folder))
    assert (
        model_named("owner/sdxl-1.0", COMMIT)
        == vae_named(f"owner/sdxl-1.0@{COMMIT}")
        == Model("owner/sdxl-1.0", COMMIT)
    )


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_all_parts_have_one_dtype_however_they_are_stored(untrained: Path, tmp_path: Path, dtype: Dtype) -> None:
    folder = shutil.copytree(untrained, tmp_path / "mixed")
    for part, kind in (("unet", diffusers.UNet2DConditionModel), ("vae", diffusers.AutoencoderKL)):
        kind.from_pretrained(folder / part, dtype=torch.float16).save_pretrained(folder / part)
    pipeline = load_pipeline(Model(str(folder)), variant=None, vae=None, dtype=dtype, device="cpu")
    parts = {name: part for name, part in pipeline.components.items() if isinstance(part, torch.nn.Module)}
    assert set(parts) == set(WEIGHED)
    assert {p.dtype for part in parts.values() for p in part.parameters()} == {getattr(torch, dtype)}


@pytest.mark.parametrize(
    ("name", "revision", "sentence"),
    [
        ("missing", None, "model missing: there is no such directory, and it is no hub id such as owner/name"),
        ("/missing/model", None, "model /missing/model: there is no such directory, and it is no hub id"),
        ("a/b", None, "a/b: there is no such directory, and as a hub id it needs a revision, .*; none was given"),
        ("a/b", "main", "the 40 hex digits of a commit; 'main' was given"),
        ("a/b", COMMIT[:7], f"the 40 hex digits of a commit; '{COMMIT[:7]}' was given"),
        (".", COMMIT, r"model \. is a directory, which has no revision: leave '0123.*' out"),
    ],
)
def test_a_name_that_means_nothing(name: str, revision: str | None, sentence: str) -> None:
    with pytest.raises(ModelUnavailable, match=sentence):
        SdxlRenderer(model=name, revision=revision)


def test_a_vae_needs_a_revision_too() -> None:
    with pytest.raises(ModelUnavailable, match=r"a/b: .* needs a revision, .*; none was given"):
        vae_named("a/b")
    with pytest.raises(ModelUnavailable, match=r"a/b: .* needs a revision, .*; 'main' was given"):
        vae_named("a/b@main")


def refusal(folder: Path, **settings: str) -> str:
    """The sentence with which loading `folder` is refused."""
    with pytest.raises(ModelUnavailable) as refused:
        SdxlRenderer(model=str(folder), device="cpu", **settings).load()  # type: ignore[arg-type]
    sentence = str(refused.value)
    assert sentence.startswith("model ")
    assert "\n" not in sentence
    return sentence


def without_index(model: Path) -> None:
    (model / "model_index.json").unlink()


def of_another_kind(model: Path) -> None:
    index = model / "model_index.json"
    index.write_text(index.read_text().replace("StableDiffusionXLPipeline", "FluxPipeline"))


def without_a_tokenizer(model: Path) -> None:
    shutil.rmtree(model / "tokenizer_2")


def in_another_format(model: Path) -> None:
    for part in ("unet", "vae"):
        weights = model / part / "diffusion_pytorch_model.safetensors"
        weights.rename(weights.with_suffix(".msgpack"))


def cut_short(model: Path) -> None:
    weights = model / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1_000_000])


def broken_config(model: Path) -> None:
    (model / "unet" / "config.json").write_text("{")


def worthless(model: Path) -> None:
    unet = diffusers.UNet2DConditionModel.from_pretrained(model / "unet", dtype=torch.float32)
    torch.nn.init.constant_(unet.conv_out.bias, torch.nan)
    unet.save_pretrained(model / "unet")


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (without_index, "model {} is not in diffusers' layout: its model_index.json is missing or broken"),
        (of_another_kind, "model {} is a FluxPipeline; only a StableDiffusionXLPipeline can be used"),
        (without_a_tokenizer, "model {} lacks tokenizer_2, named in its model_index.json"),
        (in_another_format, "model {} has no *.safetensors in unet, vae; other formats stay unread"),
        (cut_short, "model {} cannot be loaded: Unable to load weights"),
        (
            broken_config,
            "model {} cannot be loaded: It looks like the config file at '{}/unet/config.json' is not a valid",
        ),
        (worthless, "model {} cannot be loaded: the model's UNet gave NaN instead of a picture"),
    ],
)
def test_a_model_that_is_not_whole(
    untrained: Path, tmp_path: Path, spoil: Callable[[Path], None], sentence: str
) -> None:
    folder = shutil.copytree(untrained, tmp_path / "model")
    spoil(folder)
    assert refusal(folder).startswith(sentence.format(folder, folder))


def nothing_at_all(_vae: Path) -> None:
    pass


def a_pipeline(vae: Path) -> None:
    (vae / "model_index.json").write_text('{"_class_name": "StableDiffusionXLPipeline"}')


def a_tiny_one(vae: Path) -> None:
    diffusers.AutoencoderTiny().save_pretrained(vae)


def of_sixteen_channels(vae: Path) -> None:
    diffusers.AutoencoderKL(latent_channels=16).save_pretrained(vae)


def without_weights(vae: Path) -> None:
    diffusers.AutoencoderKL().save_config(vae)


def of_another_variant(vae: Path) -> None:
    diffusers.AutoencoderKL().save_pretrained(vae, variant="fp32")


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (nothing_at_all, "has no config.json that can be read: name the folder of an AutoencoderKL"),
        (a_pipeline, "has no config.json that can be read: name the folder of an AutoencoderKL"),
        (a_tiny_one, "is a AutoencoderTiny; only an AutoencoderKL can be used"),
        (of_sixteen_channels, "has 16 latent channels, where the model's UNet has 4: name one made for SDXL"),
        (without_weights, "has no *.safetensors; other formats stay unread: save it again"),
        (of_another_variant, "cannot be loaded: Error no file named diffusion_pytorch_model.safetensors"),
    ],
)
def test_what_is_no_vae_for_the_model(
    untrained: Path, tmp_path: Path, make: Callable[[Path], None], sentence: str
) -> None:
    make(tmp_path)
    with pytest.raises(ModelUnavailable) as refused:
        SdxlRenderer(model=str(untrained), device="cpu", vae=str(tmp_path)).load()
    assert str(refused.value).startswith(f"DARKROOM_VAE is {tmp_path}, which {sentence}")
    assert "\n" not in str(refused.value)


def test_the_weights_of_the_variant_are_those_that_are_read(untrained: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(untrained, tmp_path / "model")
    unet = diffusers.UNet2DConditionModel.from_pretrained(folder / "unet", dtype=torch.float16)
    torch.nn.init.constant_(unet.conv_out.bias, 0.5)
    unet.save_pretrained(folder / "unet", variant="fp16")
    for variant, wanted in ((None, False), ("fp16", True)):
        pipeline = load_pipeline(Model(str(folder)), variant=variant, vae=None, dtype="float32", device="cpu")
        assert bool((pipeline.unet.conv_out.bias == 0.5).all()) == wanted


def test_a_variant_that_is_not_there(untrained: Path) -> None:
    assert "variant=fp16" in refusal(untrained, variant="fp16")


def test_a_hub_model_that_was_not_fetched(untrained: Path) -> None:
    with pytest.raises(ModelUnavailable, match=f"nobody/nothing at {COMMIT} is not in this machine's hub cache, /"):
        SdxlRenderer(model="nobody/nothing", revision=COMMIT).load()
    assert "fetch it once with: hf download nobody/nothing" in refusal(untrained, vae=f"nobody/nothing@{COMMIT}")


def test_code_beside_the_weights_is_not_run(untrained: Path, tmp_path: Path) -> None:
    folder, trace = shutil.copytree(untrained, tmp_path / "model"), tmp_path / "trace"
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps(index | {"unet": ["foreign", "UNet"]}))
    for place in (folder, folder / "unet"):
        (place / "foreign.py").write_text(f"open({str(trace)!r}, 'w')\nclass UNet: pass\n")
    assert "holds foreign.py, unet/foreign.py: files of the kinds" in refusal(folder)
    assert not trace.exists()
    assert "foreign" not in sys.modules
