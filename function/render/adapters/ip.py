"""IP-Adapters: attention to a picture beside that to the words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from function.render.adapters.files import Misfit, variant_of

if TYPE_CHECKING:
    from diffusers import StableDiffusionXLPipeline, UNet2DConditionModel
    from transformers import CLIPVisionModelWithProjection


@dataclass(frozen=True, slots=True)
class Attention:
    """All that an IP-Adapter changes in a UNet: how it attends, and to what."""

    processors: dict[str, Any]
    projection: Any
    kind: str | None

    @classmethod
    def of(cls, unet: UNet2DConditionModel) -> Self:
        projection = unet.encoder_hid_proj
        # It may have attention of its own, which is not the UNet's.
        unet.encoder_hid_proj = None
        processors = dict(unet.attn_processors)
        unet.encoder_hid_proj = projection
        return cls(processors, projection, unet.config.encoder_hid_dim_type)

    def put(self, unet: UNet2DConditionModel) -> None:
        unet.encoder_hid_proj = None
        unet.set_attn_processor(dict(self.processors))
        unet.encoder_hid_proj = self.projection
        unet.config.encoder_hid_dim_type = self.kind


def load_encoder(base: StableDiffusionXLPipeline, path: Path) -> CLIPVisionModelWithProjection:
    """What looks at the pictures, where the model is drawn with."""
    from transformers import CLIPVisionModelWithProjection

    encoder = CLIPVisionModelWithProjection.from_pretrained(
        path.parent,
        variant=variant_of(path, "image_encoder"),
        dtype=base.dtype,
        use_safetensors=True,
        local_files_only=True,
    )
    return encoder.to(base._execution_device)  # noqa: SLF001  # the model itself may lie elsewhere until it is used


def eyes(encoder: CLIPVisionModelWithProjection) -> dict[str, Any]:
    """What a pipeline looks at pictures with."""
    from transformers import CLIPImageProcessor

    side = encoder.config.image_size
    return {"image_encoder": encoder, "feature_extractor": CLIPImageProcessor(size=side, crop_size=side)}


def load(base: StableDiffusionXLPipeline, encoder: CLIPVisionModelWithProjection, *paths: Path) -> Attention:
    """The attention of these together, which is not yet the model's; `Misfit` if they and it do not fit."""
    from diffusers import StableDiffusionXLPipeline

    with _as_it_was(base.unet):
        # Of the base itself it would make a pipeline that always wants a picture.
        other = StableDiffusionXLPipeline(**(base.components | eyes(encoder)), add_watermarker=False)
        other.load_ip_adapter(
            [str(path.parent) for path in paths],
            subfolder="",
            weight_name=[path.name for path in paths],
            image_encoder_folder=None,
            local_files_only=True,
        )
        attention = Attention.of(base.unet)
    for layer in attention.projection.image_projection_layers:
        _check_width(layer, encoder.config)
    return attention


@contextmanager
def worn(unet: UNet2DConditionModel, attention: Attention, scales: Sequence[float]) -> Iterator[None]:
    """Let the UNet attend so, and afterwards as before."""
    for processor in attention.processors.values():
        if hasattr(processor, "to_k_ip"):
            processor.scale = list(scales)
    with _as_it_was(unet):
        attention.put(unet)
        yield


@contextmanager
def _as_it_was(unet: UNet2DConditionModel) -> Iterator[None]:
    before = Attention.of(unet)
    try:
        yield
    finally:
        before.put(unet)


def _check_width(layer: Any, encoder: Any) -> None:
    from diffusers.models.embeddings import ImageProjection

    whole = isinstance(layer, ImageProjection)
    wanted = encoder.projection_dim if whole else encoder.hidden_size
    first = layer.image_embeds if whole else getattr(layer, "proj_in", None) or layer.ff.net[0].proj
    if first.in_features != wanted:
        raise Misfit(f"it wants an image encoder that gives {first.in_features} numbers, and has one of {wanted}")
