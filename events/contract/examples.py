"""An example of each event, made by the code that makes the real ones."""

from __future__ import annotations

import hashlib
from typing import Any, Final

from events import IMAGE_COMPLETED, IMAGE_FAILED, IMAGE_REQUESTED, PROMPTS_DROPPED
from events.asking import Batch, dropped, requested
from events.outcome import Image, completed, failed
from events.prompt import InvalidPrompt, Prompt, validate
from events.request import ObjectRef, Request, from_object

TIME: Final = "2026-11-24T10:00:00.000+00:00"
EXPIRY: Final = "2026-11-25T10:00:00+00:00"

PROMPT: Final = {"prompt": "a red star on a white background", "num_inference_steps": 20, "seed": 7}


def examples() -> dict[str, dict[str, Any]]:
    """An event of each type, in its JSON form; the same at every call."""
    ref = ObjectRef("prompts", "cats/next.json", etag="9c5a1b3f6d7e48209c5a1b3f6d7e4820", size=87)
    request = from_object(ref, 0, PROMPT)
    events = {
        PROMPTS_DROPPED: dropped(ref),
        IMAGE_REQUESTED: requested(request, Batch(ref.file_key, 1)),
        IMAGE_COMPLETED: _completed(request),
        IMAGE_FAILED: _failed({"promt": "a red star", "width": 100}),
    }
    return {kind: event | {"time": TIME} for kind, event in events.items()}


def _completed(request: Request) -> dict[str, Any]:
    image = Image(
        bucket="images",
        key=f"images/{request.key}/0.png",
        sha256=hashlib.sha256(b"a picture").hexdigest(),
        pixels_sha256=hashlib.sha256(b"its pixels").hexdigest(),
        size=1480215,
        seed=7,
        width=1024,
        height=1024,
        content_type="image/png",
    )
    rendered = Prompt.model_validate(request.received).model_dump()
    rendered |= {"width": 1024, "height": 1024, "scheduler": "EulerDiscreteScheduler"}
    model = {"name": "stabilityai/stable-diffusion-xl-base-1.0", "revision": "462165984030d82259a11f4367a4eed129e94a7b"}
    timings = {"denoise": 4.31, "decode": 0.42, "encode": 0.05}
    software = {"darkroom": "0.1.0", "diffusers": "0.42.1", "torch": "2.15.0", "transformers": "5.1.0"}
    device = "NVIDIA H100 80GB HBM3"
    outcome = completed(request, "/darkroom", [image], rendered, model, timings, software=software, device=device)
    base = "https://s3.example.com/images"
    return outcome.with_urls(lambda key: {"url": f"{base}/{key}?X-Amz-Signature=0f1e", "url_expires_at": EXPIRY})


def _failed(received: object) -> dict[str, Any]:
    request = Request("/drop", "greeting-1", received)
    try:
        validate(received)
    except InvalidPrompt as invalid:
        return dict(failed(request, "/darkroom", "invalid_prompt", str(invalid), invalid.faults).event)
    raise ValueError("this prompt is no example of a failure")
