"""What other servers of SDXL take with a request, field by field, and what stands for it here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True)
class Peer:
    """A server's schema, as its `source` had it.

    `same` are the fields that have its names, `ours` the others' by theirs, `settings` what the installation says
    instead, and `without` what there is not, by the reason.
    """

    name: str
    source: str
    same: tuple[str, ...]
    ours: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    without: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def here(self) -> dict[str, tuple[str, ...]]:
        """By their name, our fields for it."""
        return {name: (name,) for name in self.same} | dict(self.ours)

    @property
    def fields(self) -> list[str]:
        """All that it takes."""
        return [*self.same, *self.ours, *self.settings, *(name for names in self.without.values() for name in names)]


NO_FILTER: Final = "there is no filter; subscribe one to the pictures"
NO_TENSOR: Final = "tensors, which JSON has none of"
OF_PYTHON: Final = "of a call in Python"
NOT_YET: Final = "not offered"
ONE_MODEL: Final = "the installation's model alone draws"

_BOTH: Final = ("prompt", "negative_prompt", "width", "height", "num_inference_steps", "guidance_scale", "seed")

PEERS: Final = (
    Peer(
        "diffusers",
        "the SDXL pipelines of 0.42.1: text, image and mask, each with and without ControlNet",
        (
            *("prompt", "prompt_2", "negative_prompt", "negative_prompt_2", "clip_skip", "width", "height"),
            *("num_inference_steps", "timesteps", "sigmas", "guidance_scale", "guidance_rescale"),
            *("original_size", "target_size", "crops_coords_top_left"),
            *("negative_original_size", "negative_target_size", "negative_crops_coords_top_left"),
            *("strength", "aesthetic_score", "negative_aesthetic_score"),
        ),
        {
            "image": ("image.uri",),
            "mask_image": ("mask_image.uri",),
            "denoising_end": ("high_noise_fraction",),
            "denoising_start": ("high_noise_fraction",),
            "num_images_per_prompt": ("num_images",),
            "generator": ("seed",),
            "control_image": ("controlnets.image.uri",),
            "controlnet_conditioning_scale": ("controlnets.scale",),
            "control_guidance_start": ("controlnets.start",),
            "control_guidance_end": ("controlnets.end",),
            "ip_adapter_image": ("ip_adapters.image.uri",),
            "cross_attention_kwargs": ("loras.scale",),
        },
        without={
            NO_TENSOR: (
                *("latents", "masked_image_latents", "ip_adapter_image_embeds"),
                *("prompt_embeds", "pooled_prompt_embeds"),
                *("negative_prompt_embeds", "negative_pooled_prompt_embeds"),
            ),
            OF_PYTHON: (*("output_type", "return_dict", "callback_on_step_end", "callback_on_step_end_tensor_inputs"),),
            "noise for DDIM's steps; take a scheduler that has it, such as Euler a": ("eta",),
            NOT_YET: ("guess_mode", "padding_mask_crop"),
        },
    ),
    Peer(
        "cog-sdxl",
        "`predict.py` of replicate/cog-sdxl at 01bb8e2",
        (*_BOTH, "scheduler"),
        {
            "image": ("image.uri",),
            "mask": ("mask_image.uri",),
            "num_outputs": ("num_images",),
            "prompt_strength": ("strength",),
            "refine": ("refiner",),
            "high_noise_frac": ("high_noise_fraction",),
            "refine_steps": ("refiner_steps",),
            "replicate_weights": ("loras.name",),
            "lora_scale": ("loras.scale",),
        },
        {"apply_watermark": "DARKROOM_MARK"},
        {NO_FILTER: ("disable_safety_checker",)},
    ),
    Peer(
        "worker-sdxl",
        "`rp_schemas.py` of runpod-workers/worker-sdxl at 00d04b5",
        (*_BOTH, "scheduler", "num_images"),
        {
            "image_url": ("image.uri",),
            "strength": ("refiner_strength",),
            "refiner_inference_steps": ("refiner_steps",),
        },
    ),
    Peer(
        "fal-ai/lora",
        "its schema in the words of a client's README, for it is not open",
        (
            *("prompt", "negative_prompt", "clip_skip", "num_inference_steps", "guidance_scale", "seed", "num_images"),
            *("scheduler", "timesteps", "sigmas"),
        ),
        {
            "image_size": ("size", "width", "height", "aspect_ratio"),
            "image_format": ("outputs.format",),
            "loras": ("loras.name", "loras.scale"),
            "controlnets": ("controlnets.name", "controlnets.image.uri", "controlnets.scale"),
            "ip_adapter": ("ip_adapters.name", "ip_adapters.image.uri", "ip_adapters.scale"),
        },
        {
            "model_name": "DARKROOM_MODEL",
            "variant": "DARKROOM_MODEL_VARIANT",
            "image_encoder_path": "DARKROOM_ADAPTERS",
            "image_encoder_subfolder": "DARKROOM_ADAPTERS",
            "image_encoder_weight_name": "DARKROOM_ADAPTERS",
        },
        {
            NO_FILTER: ("enable_safety_checker",),
            ONE_MODEL: ("unet_name",),
            "another architecture": ("ic_light_model_url", "ic_light_model_background_image_url", "ic_light_image_url"),
            "a prompt of any length is read whole, without weights": ("prompt_weighting",),
            "textual inversion is not offered": ("embeddings",),
            "noise for DDIM's steps; take a scheduler that has it, such as Euler a": ("eta",),
            "for its own makers": ("debug_latents", "debug_per_pass_latents"),
            NOT_YET: (
                *("controlnet_guess_mode", "tile_width", "tile_height", "tile_stride_width", "tile_stride_height"),
            ),
        },
    ),
    Peer(
        "AI Horde",
        "`GenerationInputStable` of Haidra-Org/AI-Horde at 01e07b7, with its `params`",
        ("prompt", "width", "height", "seed", "clip_skip"),
        {
            "n": ("num_images",),
            "steps": ("num_inference_steps",),
            "cfg_scale": ("guidance_scale",),
            "sampler_name": ("scheduler",),
            "karras": ("scheduler_config.use_karras_sigmas",),
            "source_image": ("image.uri", "controlnets.image.uri"),
            "source_mask": ("mask_image.uri",),
            "denoising_strength": ("strength",),
            "control_type": ("controlnets.name",),
            "loras.name": ("loras.name",),
            "loras.model": ("loras.scale",),
            "loras.clip": ("loras.text_encoder_scale",),
        },
        {"models": "DARKROOM_MODEL"},
        {
            NO_FILTER: ("nsfw", "censor_nsfw", "replacement_filter"),
            "there is no horde to choose from": (
                *("trusted_workers", "slow_workers", "workers", "worker_blacklist", "proxied_account", "shared"),
            ),
            "which fields there are says it": ("source_processing",),
            "an outcome has a URL": ("r2",),
            "a picture to follow is always of its ControlNet's kind": ("image_is_control", "return_control_map"),
            "LoRAs are those that are installed": ("loras.inject_trigger", "loras.is_version"),
            "textual inversion is not offered": ("tis.name", "tis.inject_ti", "tis.strength"),
            "each next picture has the next seed": ("seed_variation",),
            NOT_YET: ("post_processing", "facefixer_strength", "hires_fix", "tiling", "special", "dry_run"),
        },
    ),
    Peer(
        "vLLM-Omni",
        "`ImageGenerationRequest` of vllm-project/vllm-omni at 00a3619, which is OpenAI's and more",
        ("prompt", "negative_prompt", "size", "num_inference_steps", "guidance_scale", "seed"),
        {"n": ("num_images",), "output_format": ("outputs.format",), "lora": ("loras.name", "loras.scale")},
        {
            "model": "DARKROOM_MODEL",
            "vae_use_slicing": "DARKROOM_VAE_TILING",
            "vae_use_tiling": "DARKROOM_VAE_TILING",
        },
        {
            "for models other than SDXL": (
                *("bot_task", "layers", "system_prompt", "use_system_prompt", "true_cfg_scale", "flow_shift"),
                *("extra_params", "infer_align_image_size"),
            ),
            "a seed is drawn on the CPU, so that it is the same everywhere": ("generator_device",),
            "of the door in OpenAI's words, which takes them": ("response_format", "user"),
        },
    ),
    Peer(
        "comfyui-api",
        "the SDXL workflow with a refiner of SaladTechnologies/comfyui-api at dbc4d71",
        ("prompt", "negative_prompt", "width", "height", "seed"),
        {
            "steps": ("num_inference_steps",),
            "cfg_scale": ("guidance_scale",),
            "sampler_name": ("scheduler",),
            "scheduler": ("scheduler_config.use_karras_sigmas", "scheduler_config.use_exponential_sigmas"),
            "base_end_step": ("high_noise_fraction",),
            "refiner_start_step": ("high_noise_fraction",),
        },
        {"checkpoint": "DARKROOM_MODEL", "refiner_checkpoint": "DARKROOM_REFINER"},
        {"a picture begins at its first step, or with an image": ("base_start_step",)},
    ),
)
