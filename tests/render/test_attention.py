"""How the UNet attends: what the setting says, or a sentence about why it cannot.

xFormers computes on a GPU only. What stands in for it here has its signature, computes what it promises, and counts.
"""

from __future__ import annotations

import re
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from diffusers.models import attention_processor
from diffusers.models.attention_processor import AttnProcessor2_0

from function.render.attention import attend, check_attention
from function.render.sdxl import SdxlRenderer
from function.render.weights import ModelUnavailable
from tests.render.test_sdxl import by_hand

CUDA, CPU = torch.device("cuda"), torch.device("cpu")


def stand_in(monkeypatch: pytest.MonkeyPatch, *, cuda: bool) -> None:
    """Let there be a package xformers, whose operators for CUDA have loaded or not."""
    module, library = ModuleType("xformers"), ModuleType("xformers._cpp_lib")
    module.__spec__ = ModuleSpec("xformers", None)
    vars(library)["_built_with_cuda"] = cuda
    vars(module)["_cpp_lib"] = library
    monkeypatch.setitem(sys.modules, "xformers", module)
    monkeypatch.setitem(sys.modules, "xformers._cpp_lib", library)


@pytest.fixture
def attended(monkeypatch: pytest.MonkeyPatch) -> list[torch.Size]:
    """The shape of each query that xFormers was given."""
    shapes: list[torch.Size] = []

    def memory_efficient_attention(
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attn_bias: torch.Tensor | None = None,
        p: float = 0.0,
        scale: float | None = None,
        *,
        op: object = None,
    ) -> torch.Tensor:
        del p, op
        shapes.append(query.shape)
        return torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=attn_bias, scale=scale)

    stand_in(monkeypatch, cuda=True)
    ops = SimpleNamespace(memory_efficient_attention=memory_efficient_attention)
    monkeypatch.setattr(attention_processor, "xformers", SimpleNamespace(ops=ops))
    return shapes


@pytest.fixture
def pipeline(untrained: Path) -> Any:
    return diffusers.StableDiffusionXLPipeline.from_pretrained(untrained, dtype=torch.float32)


def test_every_layer_of_the_unet_attends_by_xformers_and_draws_the_same(
    pipeline: Any, attended: list[torch.Size]
) -> None:
    before = by_hand(pipeline)
    assert not attended
    check_attention("xformers", CUDA)
    attend(pipeline.unet, "xformers")
    after = by_hand(pipeline)
    assert len(attended) == 2 * len(pipeline.unet.attn_processors), "each layer once a step"
    assert np.abs(after.astype(int) - before).max() <= 1


def test_by_itself_it_is_torchs_own(pipeline: Any) -> None:
    check_attention("sdpa", CPU)
    attend(pipeline.unet, "sdpa")
    assert {type(processor) for processor in pipeline.unet.attn_processors.values()} == {AttnProcessor2_0}


def test_diffusers_own_switch_changes_nothing(pipeline: Any) -> None:
    # Should this fail, the switch works in this release, and `attend` may use it.
    before = dict(pipeline.unet.attn_processors)
    pipeline.unet.set_attention_backend("_native_math")
    assert not any(hasattr(processor, "_attention_backend") for processor in before.values())


def test_without_the_wheel_the_load_says_what_brings_it(untrained: Path) -> None:
    with pytest.raises(ModelUnavailable, match=r"xformers, which is not installed: install '\.\[xformers\]'"):
        SdxlRenderer(model=str(untrained), device="cpu", attention="xformers").load()


@pytest.mark.usefixtures("attended")
def test_on_a_cpu_it_says_that_it_needs_a_gpu() -> None:
    with pytest.raises(ModelUnavailable, match="works on a GPU only"):
        check_attention("xformers", CPU)


def test_a_wheel_that_does_not_go_with_torch_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, cuda=False)
    with pytest.raises(
        ModelUnavailable, match=f"CUDA operators do not load beside torch {re.escape(torch.__version__)}: "
    ):
        check_attention("xformers", CUDA)
