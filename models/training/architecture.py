"""The parts of `models/shapes`: SDXL's own classes, a few million parameters in all."""

from __future__ import annotations

import json
import tempfile
from itertools import pairwise
from pathlib import Path

from diffusers import AutoencoderKL, EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
from drawing import WORDS
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

POSITIONS = 32
HIDDEN = 64


def _bytes_as_characters() -> list[str]:
    """GPT-2's printable stand-ins for the 256 bytes, which CLIP's tokenizer works on."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table = {b: chr(b) for b in printable}
    spare = (chr(256 + n) for n in range(256 - len(printable)))
    return [table[b] if b in table else next(spare) for b in range(256)]


def _merges(words: tuple[str, ...]) -> list[tuple[str, str]]:
    """Byte-pair merges after which each word is a single token."""
    merges: list[tuple[str, str]] = []

    def split(word: str) -> list[str]:
        parts = [*word[:-1], word[-1] + "</w>"]
        while pairs := [p for p in pairwise(parts) if p in merges]:
            best = min(pairs, key=merges.index)
            at = next(i for i, p in enumerate(pairwise(parts)) if p == best)
            parts[at : at + 2] = ["".join(best)]
        return parts

    for word in words:
        while len(parts := split(word)) > 1:
            merges.append((parts[0], parts[1]))
    return merges


def vocabulary() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """CLIP's byte alphabet, the merges for our words, and the two special tokens (the last two ids)."""
    letters, merges = _bytes_as_characters(), _merges(WORDS)
    tokens = [*letters, *(c + "</w>" for c in letters), *("".join(m) for m in merges)]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    return {token: i for i, token in enumerate(tokens)}, merges


def save_tokenizer(folder: Path) -> CLIPTokenizer:
    """Write vocab.json and merges.txt beside what transformers saves, and return the tokenizer."""
    vocab, merges = vocabulary()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(" ".join(m) for m in merges) + "\n")
    tokenizer = CLIPTokenizer.from_pretrained(
        folder, model_max_length=POSITIONS, pad_token="<|endoftext|>", clean_up_tokenization_spaces=False
    )
    tokenizer.save_pretrained(folder)
    return tokenizer


def new_tokenizer() -> CLIPTokenizer:
    with tempfile.TemporaryDirectory() as folder:
        return save_tokenizer(Path(folder))


def new_text_encoders() -> tuple[CLIPTextModel, CLIPTextModelWithProjection]:
    end = len(vocabulary()[0]) - 1
    configs = [
        CLIPTextConfig(
            vocab_size=end + 1,
            hidden_size=HIDDEN,
            intermediate_size=4 * HIDDEN,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=POSITIONS,
            projection_dim=HIDDEN,
            hidden_act=activation,
            bos_token_id=end - 1,
            eos_token_id=end,
            pad_token_id=end,
        )
        for activation in ("quick_gelu", "gelu")
    ]
    return CLIPTextModel(configs[0]), CLIPTextModelWithProjection(configs[1])


def new_unet() -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(64, 96, 128),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=(2, 3, 4),
        transformer_layers_per_block=1,
        use_linear_projection=True,
        cross_attention_dim=2 * HIDDEN,
        norm_num_groups=16,
        addition_embed_type="text_time",
        addition_time_embed_dim=32,
        projection_class_embeddings_input_dim=6 * 32 + HIDDEN,
    )


def new_vae() -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(16, 32, 64, 64),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=8,
        mid_block_add_attention=False,
        sample_size=128,
        scaling_factor=0.13025,
        force_upcast=False,
    )


def new_scheduler() -> EulerDiscreteScheduler:
    return EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", timestep_spacing="leading", steps_offset=1
    )


def assemble(
    vae: AutoencoderKL,
    unet: UNet2DConditionModel,
    one: CLIPTextModel,
    two: CLIPTextModelWithProjection,
) -> StableDiffusionXLPipeline:
    tokenizer = new_tokenizer()
    return StableDiffusionXLPipeline(
        vae=vae,
        unet=unet,
        text_encoder=one,
        text_encoder_2=two,
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        scheduler=new_scheduler(),
        force_zeros_for_empty_prompt=True,
        add_watermarker=False,
    )
