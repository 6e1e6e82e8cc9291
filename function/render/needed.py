"""Which of a model's many files the renderer reads: hubs keep other formats and precisions beside them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from function.render.weights import KIND, KIND_OF_REFINER, KIND_OF_VAE, WEIGHED, ModelUnavailable, parts_of

INDEX: Final = "model_index.json"
CONFIG: Final = "config.json"

# As diffusers and transformers name them, in one file or in several, which an index then lists.
_WEIGHTS: Final = re.compile(
    r"(?:diffusion_pytorch_model|model)"
    r"(?:\.(?P<before>[\w-]+?))?(?:-\d{5}-of-\d{5})?(?:\.(?P<after>[\w-]+))?\.safetensors"
    r"(?:\.index(?:\.(?P<of_index>[\w-]+))?\.json)?"
)
_TEXT: Final = re.compile(r"[\w.-]+\.(?:json|txt)")


def of_pipeline(names: Iterable[str], index: Mapping[str, Any], variant: str | None) -> list[str]:
    """The files of a pipeline with this `model_index.json`; `ModelUnavailable`, a sentence's end, if it lacks some."""
    kind = index.get("_class_name")
    if kind not in (KIND, KIND_OF_REFINER):
        raise ModelUnavailable(f"is a {kind}; only a {KIND} can be used")
    names = list(names)
    chosen = [INDEX]
    for part in parts_of(index):
        inside = [name.removeprefix(f"{part}/") for name in names if name.startswith(f"{part}/")]
        read = _of_folder(inside, variant, part if part in WEIGHED else None)
        if not read:
            raise ModelUnavailable(f"lacks {part}, named in its {INDEX}")
        chosen += [f"{part}/{name}" for name in read]
    # A refiner is put to a model, whose variant it need not have.
    if variant and kind == KIND and not any(_variant(name.rpartition("/")[2]) == variant for name in chosen):
        raise ModelUnavailable(f"has no weights of the variant {variant}: leave the variant out or name another")
    return chosen


def of_vae(names: Iterable[str], config: Mapping[str, Any], variant: str | None) -> list[str]:
    """The files of a VAE with this `config.json`; `ModelUnavailable` as above."""
    if (kind := config.get("_class_name")) != KIND_OF_VAE:
        raise ModelUnavailable(f"has no {INDEX} and is a {kind}; only a {KIND} or an {KIND_OF_VAE} can be used")
    return [CONFIG, *(name for name in _of_folder(names, variant, ".") if _WEIGHTS.fullmatch(name))]


def _of_folder(names: Iterable[str], variant: str | None, weighed: str | None) -> list[str]:
    """What is read in one folder: texts, and of weights those of the variant, or where it has none the plain ones."""
    texts, weights = [], []
    for name in sorted(names):
        if _WEIGHTS.fullmatch(name):
            weights.append(name)
        elif _TEXT.fullmatch(name):
            texts.append(name)
    of_variant = [name for name in weights if variant and _variant(name) == variant]
    kept = of_variant or [name for name in weights if _variant(name) is None]
    if weighed and not any(name.endswith(".safetensors") for name in kept):
        raise ModelUnavailable(
            f"has no *.safetensors in {weighed}; other formats can run code and stay where they are: "
            "name a model or a variant that has some"
        )
    return texts + kept


def _variant(name: str) -> str | None:
    match = _WEIGHTS.fullmatch(name)
    return match and (match["before"] or match["after"] or match["of_index"])
