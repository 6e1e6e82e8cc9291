"""Adapters that were never trained, for the model that was not: each changes every picture."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import torch
from diffusers import ControlNetModel, StableDiffusionXLPipeline, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

_ENCODER: Final = {
    "hidden_size": 48,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "image_size": 32,
    "patch_size": 8,
    "projection_dim": 40,
}
_TOKENS: Final = 4
_ATTENTION: Final = ("to_q", "to_k", "to_v", "to_out.0", "q_proj", "k_proj", "v_proj", "out_proj")
ALL: Final = ("unet", "text_encoder", "text_encoder_2")


def save_lora(base: StableDiffusionXLPipeline, file: Path, *, seed: int, parts: Sequence[str] = ALL) -> Path:
    """A LoRA of rank 4 for the attention of these parts, in diffusers' own format."""
    random = torch.Generator().manual_seed(seed)
    tensors: dict[str, torch.Tensor] = {}
    for part in parts:
        for name, module in getattr(base, part).named_modules():
            if isinstance(module, torch.nn.Linear) and name.endswith(_ATTENTION):
                down = torch.randn(4, module.in_features, generator=random)
                up = torch.randn(module.out_features, 4, generator=random)
                tensors |= {f"{part}.{name}.lora_A.weight": down / 4, f"{part}.{name}.lora_B.weight": up / 4}
    save_file(tensors, file)
    return file


def save_kohya(base: StableDiffusionXLPipeline, file: Path, *, seed: int) -> Path:
    """A LoRA as kohya's scripts name its tensors, with an alpha that halves it."""
    tensors = load_file(save_lora(base, file, seed=seed))
    named = {}
    for name, tensor in tensors.items():
        part, _, rest = name.partition(".")
        module, _, half = rest.rpartition(".lora_")
        start = {"unet": "lora_unet", "text_encoder": "lora_te1", "text_encoder_2": "lora_te2"}[part]
        # A LoRA of the text encoders names their layers as transformers once did.
        module = module if part == "unet" else f"text_model.{module.removeprefix('text_model.')}"
        key = f"{start}_{module.replace('.', '_')}"
        named[f"{key}.lora_{'down' if half.startswith('A') else 'up'}.weight"] = tensor
        named[f"{key}.alpha"] = torch.tensor(2.0)
    save_file(named, file)
    return file


def save_controlnet(unet: UNet2DConditionModel, folder: Path, *, seed: int) -> Path:
    """A ControlNet whose say is not the nothing that one begins with."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = ControlNetModel.from_unet(unet)
        for parameter in (
            *net.controlnet_down_blocks.parameters(),
            *net.controlnet_mid_block.parameters(),
            *net.controlnet_cond_embedding.conv_out.parameters(),
        ):
            torch.nn.init.normal_(parameter, std=0.1)
    net.save_pretrained(folder)
    return folder / "diffusion_pytorch_model.safetensors"


def save_image_encoder(folder: Path, *, seed: int = 0, projection_dim: int = _ENCODER["projection_dim"]) -> Path:
    config = CLIPVisionConfig(**_ENCODER | {"projection_dim": projection_dim})
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        CLIPVisionModelWithProjection(config).save_pretrained(folder)
    return folder / "model.safetensors"


def save_ip_adapter(unet: UNet2DConditionModel, file: Path, *, seed: int, plus: bool = False) -> Path:
    """An IP-Adapter as its authors save it; with `plus` it looks at a picture's parts."""
    random = torch.Generator().manual_seed(seed)

    def tensor(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=random) / 4

    width = unet.config.cross_attention_dim
    tensors = _resampler(tensor, width) if plus else _projection(tensor, width)
    tensors = {f"image_proj.{name}": one for name, one in tensors.items()}
    key = 0
    for name, module in unet.named_modules():
        if name.endswith(("attn1", "attn2")):
            key += 1
            place = list(unet.attn_processors).index(f"{name}.processor")
            if name.endswith("attn2"):
                tensors[f"ip_adapter.{place}.to_k_ip.weight"] = tensor(module.to_k.out_features, width)
                tensors[f"ip_adapter.{place}.to_v_ip.weight"] = tensor(module.to_v.out_features, width)
    save_file(tensors, file)
    return file


def _projection(tensor: Any, width: int) -> dict[str, torch.Tensor]:
    seen = _ENCODER["projection_dim"]
    return {
        "proj.weight": tensor(_TOKENS * width, seen),
        "proj.bias": tensor(_TOKENS * width),
        "norm.weight": tensor(width),
        "norm.bias": tensor(width),
    }


def _resampler(tensor: Any, width: int) -> dict[str, torch.Tensor]:
    inner, seen = 128, _ENCODER["hidden_size"]
    tensors = {
        "latents": tensor(1, _TOKENS, inner),
        "proj_in.weight": tensor(inner, seen),
        "proj_in.bias": tensor(inner),
        "proj_out.weight": tensor(width, inner),
        "proj_out.bias": tensor(width),
        "norm_out.weight": tensor(width),
        "norm_out.bias": tensor(width),
    }
    for layer in range(4):
        here = f"layers.{layer}"
        for norm in ("0.norm1", "0.norm2", "1.0"):
            tensors |= {f"{here}.{norm}.weight": tensor(inner), f"{here}.{norm}.bias": tensor(inner)}
        tensors |= {
            f"{here}.0.to_q.weight": tensor(inner, inner),
            f"{here}.0.to_kv.weight": tensor(2 * inner, inner),
            f"{here}.0.to_out.weight": tensor(inner, inner),
            f"{here}.1.1.weight": tensor(4 * inner, inner),
            f"{here}.1.3.weight": tensor(inner, 4 * inner),
        }
    return tensors


def listed(file: Path, folder: Path) -> dict[str, str]:
    return {"path": file.relative_to(folder).as_posix(), "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}


def install(model: Path, folder: Path) -> Path:
    """Adapters of every kind for the model, and the file that lists them."""
    base = StableDiffusionXLPipeline.from_pretrained(model)
    unet = base.unet
    entries: dict[str, dict[str, Any]] = {}
    loras = {
        "ink": save_lora(base, folder / "ink.safetensors", seed=1),
        # A name with a dot, and one that is a part of what peft calls its own.
        "oil.v1": save_lora(base, folder / "oil.safetensors", seed=2, parts=["unet"]),
        "a": save_lora(base, folder / "words.safetensors", seed=3, parts=["text_encoder", "text_encoder_2"]),
        "kohya": save_kohya(base, folder / "kohya.safetensors", seed=4),
    }
    entries |= {name: {"kind": "lora"} | listed(file, folder) for name, file in loras.items()}
    nets = {name: save_controlnet(unet, folder / name, seed=seed) for seed, name in enumerate(("edges", "depth"), 5)}
    entries |= {name: {"kind": "controlnet"} | listed(file, folder) for name, file in nets.items()}
    encoder = listed(save_image_encoder(folder / "image_encoder"), folder)
    looks = {
        "style": save_ip_adapter(unet, folder / "style.safetensors", seed=7),
        "parts": save_ip_adapter(unet, folder / "parts.safetensors", seed=8, plus=True),
    }
    for name, file in looks.items():
        entries[name] = {"kind": "ip_adapter", "image_encoder": encoder} | listed(file, folder)
    # Where it was once fetched from; nobody asks there for a prompt.
    entries["ink"]["hub"] = f"owner/adapters@{'0' * 40}/ink.safetensors"
    (folder / "adapters.json").write_text(json.dumps(entries, indent=2))
    return folder / "adapters.json"


def install_misfits(model: Path, installed: Path) -> Path:
    """Beside what is `installed`, adapters that are for other models; the file that lists all of them."""
    base = StableDiffusionXLPipeline.from_pretrained(model)
    folder = installed.parent / "misfits"
    folder.mkdir()
    entries: dict[str, dict[str, Any]] = json.loads(installed.read_text())
    ink, style = load_file(installed.parent / "ink.safetensors"), load_file(installed.parent / "style.safetensors")
    unet, words = ({name: one for name, one in ink.items() if name.startswith(part)} for part in ("unet", "text"))
    loras = {
        "wide": _widened(unet, "lora_A"),
        "wide-words": unet | _widened(words, "lora_A"),
        "part": {name.replace("attn1", "attn9"): one for name, one in ink.items()},
        "foreign": {name.replace("attn", "other"): one for name, one in ink.items()},
    }
    looks = {
        "wide-look": _widened(style, "to_k_ip"),
        "part-look": {name: one for name, one in style.items() if not name.startswith("ip_adapter.1.")},
        "other-look": style,
    }
    for name, tensors in (loras | looks).items():
        save_file(tensors, folder / f"{name}.safetensors")
        found = listed(folder / f"{name}.safetensors", installed.parent)
        entries[name] = (entries["style"] if name in looks else {"kind": "lora"}) | found
    other = save_image_encoder(folder / "image_encoder", projection_dim=24)
    entries["other-look"]["image_encoder"] = listed(other, installed.parent)
    deep = UNet2DConditionModel.from_config(dict(base.unet.config) | {"layers_per_block": 2})
    net = save_controlnet(deep, folder / "deep", seed=9)
    entries["deep"] = {"kind": "controlnet"} | listed(net, installed.parent)
    (installed.parent / "misfits.json").write_text(json.dumps(entries))
    return installed.parent / "misfits.json"


def _widened(tensors: dict[str, torch.Tensor], which: str) -> dict[str, torch.Tensor]:
    """With another input of 8 numbers for those that are called so."""
    return {
        name: torch.nn.functional.pad(one, (0, 8)).contiguous() if which in name else one
        for name, one in tensors.items()
    }
