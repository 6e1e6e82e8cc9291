"""What is wrong with an adapter's file, told before it is used: safetensors alone, and only what diffusers can use."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal

from function.render.manifest import file_sum

Kind = Literal["lora", "controlnet", "ip_adapter", "image_encoder"]

# As the libraries name them: what stands between is the variant.
WEIGHTS: Final[Mapping[str, re.Pattern[str]]] = {
    "controlnet": re.compile(r"diffusion_pytorch_model(?:\.(?P<variant>[\w-]+))?\.safetensors"),
    "image_encoder": re.compile(r"model(?:\.(?P<variant>[\w-]+))?\.safetensors"),
}
_CONFIGURED: Final = {
    "controlnet": ("_class_name", "ControlNetModel"),
    "image_encoder": ("architectures", ["CLIPVisionModelWithProjection"]),
}
# Of a LoRA's cousins: diffusers leaves some out in silence, and fails at others.
_COUSINS: Final = re.compile(r"dora_scale|lora_magnitude|hada_w|lokr_w|oft_|\.diff(_b)?$")
# How an IP-Adapter looks at a picture: at all of it, at its parts ("plus") or at a face's. The others want a face's
# measures instead of a picture.
_LOOKS: Final = frozenset({"image_proj.proj.weight", "image_proj.proj.3.weight", "image_proj.latents"})
_LONGEST_HEADER: Final = 100 << 20


class Misfit(ValueError):
    """The adapter is for another model; says in what."""


def complaint(path: Path, kind: Kind, sha256: str) -> str | None:
    """What is wrong with a file that should be of this kind, None if nothing is; reads all of it."""
    try:
        wrong = _CHECKS[kind](path)
        found = None if wrong else file_sum(path)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if found and found != sha256:
        return f"has the sha256 {found}; write that into the list if it is what was meant, else fetch it again"
    return wrong


def has_config(kind: Kind) -> bool:
    """Whether a `config.json` lies beside files of this kind."""
    return kind in _CONFIGURED


def variant_of(path: Path, kind: Literal["controlnet", "image_encoder"]) -> str | None:
    """The variant of weights that the libraries are to read."""
    match = WEIGHTS[kind].fullmatch(path.name)
    return match and match["variant"]


def tensor_names(path: Path) -> set[str]:
    """The names of its tensors; none where it is no safetensors."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if not 2 <= size <= _LONGEST_HEADER:
            return set()
        try:
            header = json.loads(file.read(size))
        except ValueError:
            return set()
    return set(header) - {"__metadata__"} if isinstance(header, dict) else set()


def _lora(path: Path) -> str | None:
    names = tensor_names(path)
    if any(_COUSINS.search(name) for name in names):
        return "is more than a plain LoRA (DoRA, LyCORIS or the like), which diffusers cannot use as it was trained"
    return None if any("lora" in name for name in names) else "is no LoRA: none of its tensors is called so"


def _ip_adapter(path: Path) -> str | None:
    names = tensor_names(path)
    if not any(name.startswith("ip_adapter.") for name in names):
        return "is no IP-Adapter: it has no tensors called ip_adapter.*"
    if not names & _LOOKS or any("perceiver_resampler" in name for name in names):
        return "is an IP-Adapter for a face's measures, which a picture does not have; use one that looks at pictures"
    return None


def _configured(kind: Literal["controlnet", "image_encoder"]) -> Callable[[Path], str | None]:
    def check(path: Path) -> str | None:
        if not WEIGHTS[kind].fullmatch(path.name):
            usual = "diffusion_pytorch_model.safetensors" if kind == "controlnet" else "model.safetensors"
            return f"is not named as the libraries want it: {usual}, or with a variant before the dot's last part"
        if not tensor_names(path):
            return "holds no tensors"
        name, wanted = _CONFIGURED[kind]
        try:
            config: Any = json.loads((path.parent / "config.json").read_bytes())
        except (OSError, ValueError):
            return "has no config.json beside it that can be read"
        found = config.get(name) if isinstance(config, dict) else None
        return None if found == wanted else f"has a config.json beside it whose {name} is not {wanted}"

    return check


_CHECKS: Final[Mapping[Kind, Callable[[Path], str | None]]] = {
    "lora": _lora,
    "controlnet": _configured("controlnet"),
    "ip_adapter": _ip_adapter,
    "image_encoder": _configured("image_encoder"),
}
