"""Train the miniature SDXL: `python models/training/train.py` (about an hour on two cores, resumes where it stopped).

Every step draws its own data from a seed made of the stage and the step, so a resumed run sees what an
uninterrupted one would have seen.
"""

from __future__ import annotations

import argparse
import copy
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import architecture
import torch
import torch.nn.functional as F
from drawing import COLOUR_NAMES, SHAPES, Scenes, draw, random_scenes
from torch import Tensor, nn
from tqdm import tqdm

SEED = 20261124
SCALING = 0.13025


@dataclass(frozen=True)
class Stage:
    """One phase of training: what is learned, for how long, with which learning rate (cosine from `lr` to `end`)."""

    name: str
    steps: int
    batch: int
    lr: float
    end: float
    warm_up: int = 50


VAE_STAGES = (
    Stage("vae-sketch", 1500, 16, 1e-3, 9e-4),
    Stage("vae-crops", 3000, 12, 7e-4, 3e-4),
    Stage("vae-whole", 2000, 4, 3e-4, 1e-5),
)
UNET_STAGE = Stage("unet", 5600, 32, 1e-3, 8e-6, 100)
LATENTS = 24_000


def generator(*parts: int) -> torch.Generator:
    seed = SEED
    for part in parts:
        seed = (seed * 1_000_003 + part) % (2**63)
    return torch.Generator().manual_seed(seed)


class Average:
    """An exponential moving average of modules' weights, ramped up so that early steps do not weigh on it."""

    def __init__(self, modules: nn.ModuleList, limit: float) -> None:
        self.modules = copy.deepcopy(modules).requires_grad_(False)
        self.limit = limit

    @torch.no_grad()
    def update(self, modules: nn.ModuleList, step: int) -> None:
        decay = min(self.limit, (1 + step) / (10 + step))
        for kept, new in zip(self.modules.parameters(), modules.parameters(), strict=True):
            kept.lerp_(new.detach(), 1 - decay)


class Trainer:
    """Runs stages over `modules` with AdamW, an average, a progress bar and a checkpoint every few hundred steps."""

    def __init__(self, modules: nn.ModuleList, work: Path, *, average: float, decay: float) -> None:
        self.modules = modules
        self.work = work
        self.average = Average(modules, average)
        self.optimiser = torch.optim.AdamW(modules.parameters(), lr=1e-3, betas=(0.9, 0.99), weight_decay=decay)
        self.total = 0

    def run(self, stage: Stage, loss: Callable[[int], Tensor]) -> None:
        path = self.work / f"{stage.name}.pt"
        start = self._load(path)
        for step in progress(stage, start):
            warm = min(1.0, (step + 1) / stage.warm_up)
            cosine = (1 + math.cos(math.pi * step / stage.steps)) / 2
            for group in self.optimiser.param_groups:
                group["lr"] = warm * (stage.end + (stage.lr - stage.end) * cosine)
            value = loss(step)
            self.optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(value)
            nn.utils.clip_grad_norm_(self.modules.parameters(), 1.0)
            self.optimiser.step()
            self.average.update(self.modules, self.total)
            self.total += 1
            if (step + 1) % 250 == 0 or step + 1 == stage.steps:
                self._save(path, step + 1)

    def _save(self, path: Path, step: int) -> None:
        state = {
            "step": step,
            "total": self.total,
            "modules": self.modules.state_dict(),
            "average": self.average.modules.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }
        partial = path.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(path)

    def _load(self, path: Path) -> int:
        if not path.exists():
            return 0
        state = torch.load(path, weights_only=True)
        self.modules.load_state_dict(state["modules"])
        self.average.modules.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.total = state["total"]
        return int(state["step"])


def progress(stage: Stage, start: int) -> Iterator[int]:
    """Steps `start`..end with a bar on a terminal, and a line every 100 steps elsewhere."""
    on_terminal = sys.stderr.isatty()
    began = time.monotonic()
    for step in tqdm(
        range(start, stage.steps), initial=start, total=stage.steps, desc=stage.name, disable=not on_terminal
    ):
        yield step
        if not on_terminal and (step + 1) % 100 == 0:
            pace = (time.monotonic() - began) / (step + 1 - start)
            print(f"{stage.name} {step + 1}/{stage.steps} {pace:.3f} s/step", flush=True)


def gradient(picture: Tensor) -> tuple[Tensor, Tensor]:
    return picture.diff(dim=-1), picture.diff(dim=-2)


def train_vae(work: Path) -> nn.Module:
    vae = architecture.new_vae()
    trainer = Trainer(nn.ModuleList([vae]), work, average=0.998, decay=0.0)
    for number, stage in enumerate(VAE_STAGES):
        sketch, whole = number == 0, stage.name == "vae-whole"

        def loss(
            step: int, number: int = number, stage: Stage = stage, sketch: bool = sketch, whole: bool = whole
        ) -> Tensor:
            random = generator(1, number, step)
            scenes = random_scenes(stage.batch, random)
            target = draw(scenes, random, size=128 if whole else 64, any_colour=0.3 if sketch else 0.15)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                posterior = vae.encode(target).latent_dist
                noise = torch.randn(posterior.mean.shape, generator=random)
                spread = (
                    torch.randn(posterior.mean.shape, generator=random) * 0.05 * posterior.mean.detach().float().std()
                )
                decoded = vae.decode(posterior.mean + posterior.std * noise + spread).sample.float()
            edges = sum(F.l1_loss(a, b) for a, b in zip(gradient(decoded), gradient(target), strict=True))
            flat = F.l1_loss(decoded, target)
            kl = -0.5 * (1 + posterior.logvar - posterior.mean**2 - posterior.logvar.exp()).float().mean()
            likeness = flat + 0.5 * edges if sketch else 0.5 * flat + 2 * F.mse_loss(decoded, target) + edges
            total: Tensor = likeness + 1e-4 * kl
            return total

        trainer.run(stage, loss)
    trained: nn.Module = trainer.average.modules[0]
    return trained.eval()


@torch.no_grad()
def encode_all(vae: Any, scenes: Scenes, random: torch.Generator) -> Tensor:
    rows = []
    for low in range(0, len(scenes.shape), 50):
        part = Scenes(*(field[low : low + 50] for field in vars(scenes).values()))
        rows.append(vae.encode(draw(part, random)).latent_dist.mean)
    return torch.cat(rows)


@torch.no_grad()
def fold_scale(vae: Any, latents: Tensor) -> Tensor:
    """Move the latents' mean and spread into the 1x1 convolutions, so that SDXL's own scaling factor fits."""
    mean = latents.mean(dim=(0, 2, 3))
    gain = 1 / (SCALING * latents.std(dim=(0, 2, 3)))
    quant, post = vae.quant_conv, vae.post_quant_conv
    post.bias += (post.weight[:, :, 0, 0] * mean).sum(dim=1)
    post.weight /= gain[None, :, None, None]
    quant.weight[:4] *= gain[:, None, None, None]
    quant.bias[:4] = (quant.bias[:4] - mean) * gain
    quant.bias[4:] += 2 * gain.log()
    return (latents - mean[:, None, None]) * gain[:, None, None] * SCALING


def caption(scenes: Scenes, i: int, random: torch.Generator) -> str | None:
    """82 % the full sentence, 8 % a part of it, 10 % nothing (None: SDXL's zero embedding for no negative prompt)."""
    dice, kind = torch.rand(2, generator=random).tolist()
    if dice < 0.82:
        return scenes.caption(i)
    if dice >= 0.90:
        return None if kind < 0.4 else ""
    shape, colour = SHAPES[int(scenes.shape[i])], COLOUR_NAMES[int(scenes.colour[i])]
    background = COLOUR_NAMES[int(scenes.background[i])]
    parts = (
        f"a {colour} {shape}",
        f"a {shape} on a {background} background",
        f"a {shape}",
        colour,
        shape,
        f"a {background} background",
    )
    return parts[int(kind * len(parts))]


def train_unet(vae: nn.Module, work: Path) -> tuple[nn.ModuleList, nn.Module]:
    unet = architecture.new_unet()
    one, two = architecture.new_text_encoders()
    tokenizer = architecture.new_tokenizer()
    random = generator(2)
    scenes = random_scenes(LATENTS, random)
    cache = work / "latents.pt"
    if not cache.exists():
        torch.save(encode_all(vae, scenes, random), cache)
    latents = fold_scale(vae, torch.load(cache, weights_only=True))
    alphas = (1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2).cumprod(0)
    weights = (alphas / (1 - alphas)).clamp(max=5) / (alphas / (1 - alphas))
    time_ids = torch.tensor([[128.0, 128, 0, 0, 128, 128]])
    trainer = Trainer(nn.ModuleList([unet, one, two]), work, average=0.999, decay=0.01)

    def loss(step: int) -> Tensor:
        random = generator(3, step)
        batch = UNET_STAGE.batch
        rows = torch.randint(LATENTS, (batch,), generator=random)
        texts = [caption(scenes, int(row), random) for row in rows]
        told = torch.tensor([0.0 if text is None else 1.0 for text in texts])[:, None]
        ids = tokenizer(
            [text or "" for text in texts], padding="max_length", max_length=32, truncation=True, return_tensors="pt"
        ).input_ids
        clean = latents[rows]
        noise = torch.randn(clean.shape, generator=random)
        t = torch.randint(1000, (batch,), generator=random)
        alpha = alphas[t][:, None, None, None]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            first = one(ids, output_hidden_states=True).hidden_states[-2]
            second = two(ids, output_hidden_states=True)
            states = torch.cat([first, second.hidden_states[-2]], dim=-1) * told[:, :, None]
            added = {"text_embeds": second.text_embeds * told, "time_ids": time_ids.expand(batch, 6)}
            noisy = alpha.sqrt() * clean + (1 - alpha).sqrt() * noise
            guess = unet(noisy, t, encoder_hidden_states=states, added_cond_kwargs=added).sample.float()
        errors: Tensor = (guess - noise).square().mean(dim=(1, 2, 3))
        return (errors * weights[t]).mean()

    trainer.run(UNET_STAGE, loss)
    return trainer.average.modules, vae


def save(vae: nn.Module, parts: nn.ModuleList, folder: Path) -> None:
    """Write diffusers' layout: UNet and VAE as fp16, text encoders as fp32 (transformers loads the stored dtype)."""
    unet, one, two = parts
    pipeline = architecture.assemble(vae.half(), unet.half(), one.float(), two.float())
    pipeline.save_pretrained(folder, safe_serialization=True)
    for name in ("tokenizer", "tokenizer_2"):
        architecture.save_tokenizer(folder / name)


def main() -> None:
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=here / ".work", help="checkpoints, to resume from")
    parser.add_argument("--out", type=Path, default=here.parent / "shapes", help="where the pipeline is written")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(SEED)
    vae = train_vae(arguments.work)
    parts, vae = train_unet(vae, arguments.work)
    save(vae, parts, arguments.out)
    print(f"written to {arguments.out}; its SHA256SUMS has to be written again, as docs/models.md says")


if __name__ == "__main__":
    main()
