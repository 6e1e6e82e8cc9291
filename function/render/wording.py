"""From texts to what the UNet reads of them: nothing is cut, however long they are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from events.prompt import Fault, Prompt
from events.prompt.wording import Wording
from function.errors import InvalidRequest

if TYPE_CHECKING:
    import torch
    from diffusers import DiffusionPipeline
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

# A text encoder's tokens: as many as it was trained on, with its marks of begin and end.
Window = list[int]


@dataclass(frozen=True, slots=True)
class _Encoder:
    """A text encoder and its tokenizer."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase

    def windows(self, text: str) -> list[Window]:
        """The text's tokens, window by window; of an empty text one window."""
        tokens: list[int] = self.tokenizer(text, add_special_tokens=False, verbose=False).input_ids
        room = self.tokenizer.model_max_length - 2
        return [self._window(tokens[start : start + room]) for start in range(0, max(len(tokens), 1), room)]

    def _window(self, tokens: list[int]) -> Window:
        tokenizer: Any = self.tokenizer
        padding = [tokenizer.pad_token_id] * (tokenizer.model_max_length - 2 - len(tokens))
        return [tokenizer.bos_token_id, *tokens, tokenizer.eos_token_id, *padding]

    def encode(self, text: str, windows: int, skip: int) -> tuple[torch.Tensor, torch.Tensor]:
        """What each token means, of `windows` windows one after the other, and what the whole of the first one does."""
        import torch
        from diffusers.utils.torch_utils import get_module_execution_device

        device = get_module_execution_device(self.model)
        known = self.windows(text)
        # One by one, as diffusers encodes the only one: in a batch the last digits would differ.
        found = [
            self.model(torch.tensor([window], device=device), output_hidden_states=True)
            for window in [*known, *[self._window([])] * (windows - len(known))]
        ]
        return torch.cat([each.hidden_states[-2 - skip] for each in found], dim=1), found[0][0]


def encoded(pipeline: DiffusionPipeline, wording: Wording, *, guided: bool) -> dict[str, torch.Tensor | None]:
    """What the pipeline takes in place of the texts; equal to what it makes of them itself where they fit.

    `InvalidRequest` where `clip_skip` is more than the model has layers. Without guidance nothing is negative.
    """
    import torch

    encoders = [
        _Encoder(model, tokenizer)
        for model, tokenizer in (
            (pipeline.text_encoder, pipeline.tokenizer),
            (pipeline.text_encoder_2, pipeline.tokenizer_2),
        )
        if model is not None
    ]
    skip = wording.clip_skip or 0
    _check(skip, encoders)

    # A refiner has the second encoder alone, and diffusers gives it the first text.
    texts = [wording.prompt, wording.prompt_2 or wording.prompt]
    negative = [wording.negative_prompt or "", wording.negative_prompt_2 or wording.negative_prompt or ""]
    unsaid = wording.negative_prompt is None and not wording.negative_prompt_2
    zeros = unsaid and pipeline.config.force_zeros_for_empty_prompt
    read = [*texts, *([] if zeros or not guided else negative)]
    most = max(len(encoder.windows(text)) for encoder in encoders for text in read)

    def all_of(texts: list[str], skip: int) -> tuple[torch.Tensor, torch.Tensor]:
        parts = [encoder.encode(text, most, skip) for encoder, text in zip(encoders, texts, strict=False)]
        last = pipeline.text_encoder_2
        tokens = torch.cat([tokens for tokens, _ in parts], dim=-1)
        return tokens.to(device=pipeline._execution_device, dtype=last.dtype), parts[-1][1]  # noqa: SLF001

    tokens, whole = all_of(texts, skip)
    against, against_whole = None, None
    if guided and zeros:
        against, against_whole = torch.zeros_like(tokens), torch.zeros_like(whole)
    elif guided:
        # diffusers skips no layers here.
        against, against_whole = all_of(negative, 0)
    return {
        "prompt_embeds": tokens,
        "pooled_prompt_embeds": whole,
        "negative_prompt_embeds": against,
        "negative_pooled_prompt_embeds": against_whole,
    }


def in_vain(prompt: Prompt, pipelines: Iterable[DiffusionPipeline]) -> bool:
    """Whether the prompt says what to keep out, and nothing that draws heeds it."""
    said = prompt.negative_prompt or prompt.negative_prompt_2 or prompt.said_to_guide
    return bool(said) and not any(is_guided(pipeline, prompt.guidance_scale) for pipeline in pipelines)


def is_guided(pipeline: DiffusionPipeline, guidance_scale: float) -> bool:
    """Whether diffusers draws against the negative prompt, too."""
    return guidance_scale > 1 and pipeline.unet.config.time_cond_proj_dim is None


def _check(skip: int, encoders: list[_Encoder]) -> None:
    layers = min(encoder.model.config.num_hidden_layers for encoder in encoders)
    if skip >= layers:
        most = f"at most {layers - 1}" if layers > 1 else "none"
        fault = Fault("clip_skip", f"this model's text encoder has {layers} layers, of which {most} can be skipped")
        raise InvalidRequest(str(fault), [fault])
