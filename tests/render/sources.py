"""Pictures for the tests to begin with, and a refiner that was never trained."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionXLImg2ImgPipeline, UNet2DConditionModel
from PIL import Image, ImageDraw

TRAINING = Path(__file__).parents[2] / "models" / "training"


def scene(width: int = 64, height: int = 64) -> Image.Image:
    """A disc and a box on a gradient: no two corners alike."""
    picture = Image.linear_gradient("L").resize((width, height)).convert("RGB")
    pen = ImageDraw.Draw(picture)
    pen.ellipse((width // 8, height // 8, width // 2, height // 2), fill=(220, 40, 90))
    pen.rectangle((width // 2, height // 2, width, height * 3 // 4), fill=(30, 200, 60))
    return picture


def left_half(width: int = 64, height: int = 64) -> Image.Image:
    """A mask that lets the left half be drawn anew."""
    mask = Image.new("RGB", (width, height))
    ImageDraw.Draw(mask).rectangle((0, 0, width // 2 - 1, height), fill="white")
    return mask


def save_refiner(folder: Path, *, of_base: bool = True) -> Path:
    """A pipeline of the SDXL refiner's layout with random weights; its text encoder that of `untrained`, or not."""
    with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng():
        patch.syspath_prepend(TRAINING)
        architecture = import_module("architecture")
        # As `untrained` is made: each part's weights depend on those made before.
        torch.manual_seed(0 if of_base else 2)
        vae, unet, encoders = architecture.new_vae(), architecture.new_unet(), architecture.new_text_encoders()
        torch.manual_seed(1)
        hidden = encoders[1].config.hidden_size
        config = dict(unet.config) | {
            "cross_attention_dim": hidden,
            # Two sizes and a score, where the base has three sizes.
            "projection_class_embeddings_input_dim": 5 * unet.config["addition_time_embed_dim"] + hidden,
        }
        refiner = StableDiffusionXLImg2ImgPipeline(
            vae=vae,
            text_encoder=None,
            text_encoder_2=encoders[1],
            tokenizer=None,
            tokenizer_2=architecture.new_tokenizer(),
            unet=UNet2DConditionModel.from_config(config),
            scheduler=architecture.new_scheduler(),
            requires_aesthetics_score=True,
            add_watermarker=False,
        )
        refiner.save_pretrained(folder)
        architecture.save_tokenizer(folder / "tokenizer_2")
        for module in ("architecture", "drawing"):
            sys.modules.pop(module)
    return folder
