"""From a model's name to its pipeline: nothing is downloaded, and no code that lies beside the weights is run."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from function.render import Model
from function.render.faults import first_line
from function.render.manifest import mismatch, runnable

if TYPE_CHECKING:
    import torch
    from diffusers import StableDiffusionXLImg2ImgPipeline, StableDiffusionXLPipeline

Device = Literal["auto", "cpu", "cuda"]
Dtype = Literal["auto", "float32", "float16", "bfloat16"]

KIND: Final = "StableDiffusionXLPipeline"
KIND_OF_REFINER: Final = "StableDiffusionXLImg2ImgPipeline"
KIND_OF_VAE: Final = "AutoencoderKL"
WEIGHED: Final = ("text_encoder", "text_encoder_2", "unet", "vae")
_READ_OF_REFINER: Final = ("text_encoder_2", "unet")

# The libraries read these when they are imported.
_OFFLINE: Final = {
    "DIFFUSERS_DISABLE_REMOTE_CODE": "true",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
}
# As it is shown, without a mirror's name and password: the library reads HF_ENDPOINT for itself.
HUB: Final = re.sub(r"^(\w+://)?.*@", r"\1", os.environ.get("HF_ENDPOINT", "https://huggingface.co")).rstrip("/")
_HUB_ID: Final = re.compile(r"[\w.-]+/[\w.-]+")
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")


class ModelUnavailable(Exception):
    """The model cannot be used; says which, what is wrong with it and what to do."""


def model_named(name: str, revision: str | None = None) -> Model:
    """Return the directory or pinned hub model that is meant; `ModelUnavailable` where there is none."""
    if Path(name).is_dir():
        if revision is not None:
            raise ModelUnavailable(f"model {name} is a directory, which has no revision: leave {revision!r} out")
        return Model(name)
    if not _HUB_ID.fullmatch(name):
        raise ModelUnavailable(f"model {name}: there is no such directory, and it is no hub id such as owner/name")
    if revision is None or not _COMMIT.fullmatch(revision):
        given = "none was given" if revision is None else f"{revision!r} was given"
        raise ModelUnavailable(
            f"model {name}: there is no such directory, and as a hub id it needs a revision, "
            f"the 40 hex digits of a commit; {given}; `git ls-remote {HUB}/{name} main` prints the newest"
        )
    return Model(name, revision)


def vae_named(text: str) -> Model:
    """As `model_named`, for one string: a directory, or a hub id with its revision behind an @."""
    if Path(text).is_dir():
        return Model(text)
    name, at, revision = text.partition("@")
    return model_named(name, revision if at else None)


def load_pipeline(
    model: Model, *, variant: str | None, vae: Model | None, dtype: Dtype, device: Device, offload: bool = False
) -> StableDiffusionXLPipeline:
    """Load the pipeline onto its device, all parts in one dtype; `ModelUnavailable` or the libraries' own errors.

    What is to be offloaded is left where the CPU reaches it.
    """
    os.environ.update(_OFFLINE)
    folder = folder_of(model)
    folder_of_vae = folder_of(vae) if vae else None
    _check_layout(folder, KIND, WEIGHED)
    if folder_of_vae:
        _check_vae(folder_of_vae, folder)

    # Seconds of reading, in which torch, seconds of computing, is imported.
    with ThreadPoolExecutor(1) as reading:
        checking = reading.submit(_check_files, folder, *filter(None, [folder_of_vae]))
        import torch
        from diffusers import AutoencoderKL, StableDiffusionXLPipeline
        from diffusers.utils import logging as diffusers_logging
        from transformers.utils import logging as transformers_logging
    checking.result()

    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()

    place = device_named(device)
    if dtype == "auto":
        dtype = "float16" if place.type == "cuda" else "float32"
    how = _how(getattr(torch, dtype))
    replaced = {}
    if folder_of_vae:
        its_own = _variant_in(variant, folder_of_vae)
        try:
            replaced["vae"] = AutoencoderKL.from_pretrained(folder_of_vae, variant=its_own, **how)
        except (OSError, ValueError) as error:
            raise ModelUnavailable(
                f"DARKROOM_VAE is {folder_of_vae}, which cannot be loaded: {first_line(error)}"
            ) from error
    pipeline = StableDiffusionXLPipeline.from_pretrained(
        folder, variant=variant, add_watermarker=False, trust_remote_code=False, **how, **replaced
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline if offload else pipeline.to(place)


def device_named(device: Device) -> torch.device:
    """What is meant on this machine."""
    import torch

    return torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)


def load_refiner(
    model: Model, base: StableDiffusionXLPipeline, variant: str | None
) -> StableDiffusionXLImg2ImgPipeline:
    """Load what goes over the base's pictures, onto its device; of what both have in common there is one.

    It is given latents, so its own VAE would have nothing to do, and stays unread.
    """
    from diffusers import StableDiffusionXLImg2ImgPipeline

    folder = folder_of(model)
    _check_layout(folder, KIND_OF_REFINER, _READ_OF_REFINER)
    _check_files(folder)
    refiner = StableDiffusionXLImg2ImgPipeline.from_pretrained(
        folder,
        vae=base.vae,
        variant=_variant_in(variant, *(folder / part for part in _READ_OF_REFINER)),
        add_watermarker=False,
        trust_remote_code=False,
        **_how(base.dtype),
    )
    if _equal(refiner.text_encoder_2, base.text_encoder_2):
        refiner.text_encoder_2 = base.text_encoder_2
    refiner.set_progress_bar_config(disable=True)
    return refiner.to(base.device)


def _how(dtype: torch.dtype) -> dict[str, Any]:
    return {"dtype": dtype, "use_safetensors": True, "local_files_only": True, "low_cpu_mem_usage": True}


def _variant_in(variant: str | None, *folders: Path) -> str | None:
    # It is the model's own; what is put to it has it, or does without, as `darkroom prefetch` fetches it.
    return variant if variant and any(any(folder.glob(f"*.{variant}.*")) for folder in folders) else None


def _equal(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    import torch

    tensors, others = one.state_dict(), other.state_dict()
    return tensors.keys() == others.keys() and all(
        tensors[name].shape == others[name].shape and torch.equal(tensors[name], others[name].to(tensors[name].device))
        for name in tensors
    )


def folder_of(model: Model) -> Path:
    """Where the model's files lie on this machine; `ModelUnavailable` if the hub's cache lacks them."""
    if model.revision is None:
        return Path(model.name)

    from huggingface_hub import snapshot_download
    from huggingface_hub.constants import HF_HUB_CACHE
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(model.name, revision=model.revision, local_files_only=True))
    except LocalEntryNotFoundError:
        raise ModelUnavailable(
            f"model {model.name} at {model.revision} is not in this machine's hub cache, {HF_HUB_CACHE}; "
            f"fetch it once with: {downloading(model)}"
        ) from None


def downloading(model: Model) -> str:
    """The command that brings a hub model into the cache, without the files that would be refused there."""
    kinds = " ".join(f"--include '*.{kind}'" for kind in ("json", "txt", "safetensors"))
    return f"hf download {model.name} --revision {model.revision} {kinds}"


def _check_files(*folders: Path) -> None:
    for look in (runnable, mismatch):
        for folder in folders:
            if complaint := look(folder):
                raise ModelUnavailable(f"model {folder} {complaint}")


def _check_layout(folder: Path, wanted: str, weighed: Sequence[str]) -> None:
    index = _read(folder / "model_index.json")
    if index is None or (kind := index.get("_class_name")) is None:
        raise ModelUnavailable(f"model {folder} is not in diffusers' layout: its model_index.json is missing or broken")
    if kind != wanted:
        raise ModelUnavailable(f"model {folder} is a {kind}; only a {wanted} can be used")
    if missing := [name for name in parts_of(index) if not (folder / name).is_dir()]:
        raise ModelUnavailable(f"model {folder} lacks {', '.join(missing)}, named in its model_index.json")
    if unsafe := [name for name in weighed if not any((folder / name).glob("*.safetensors"))]:
        raise ModelUnavailable(
            f"model {folder} has no *.safetensors in {', '.join(unsafe)}; other formats stay unread: "
            "save it again with safe_serialization=True"
        )


def _check_vae(folder: Path, model: Path) -> None:
    given = f"DARKROOM_VAE is {folder}, which"
    config = _read(folder / "config.json")
    if config is None:
        raise ModelUnavailable(
            f"{given} has no config.json that can be read: name the folder of an {KIND_OF_VAE}, "
            "such as the one called vae in a pipeline's"
        )
    if (kind := config.get("_class_name")) != KIND_OF_VAE:
        raise ModelUnavailable(f"{given} is a {kind}; only an {KIND_OF_VAE} can be used")
    # A UNet's that cannot be read is told of where the UNet is loaded.
    wanted = (_read(model / "unet" / "config.json") or {}).get("out_channels")
    if wanted and (channels := config.get("latent_channels", 4)) != wanted:
        raise ModelUnavailable(
            f"{given} has {channels} latent channels, where the model's UNet has {wanted}: name one made for SDXL"
        )
    if not any(folder.glob("*.safetensors")):
        raise ModelUnavailable(
            f"{given} has no *.safetensors; other formats stay unread: save it again with safe_serialization=True"
        )


def _read(file: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def parts_of(index: Mapping[str, Any]) -> list[str]:
    """The folders that a `model_index.json` names: what a pipeline consists of."""
    return [
        name for name, value in index.items() if re.fullmatch(r"\w+", name) and isinstance(value, list) and value[0]
    ]
