"""The composition root: the only place that knows every class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from flask import Flask

from function.app import create_app
from function.config import Settings
from function.files import PromptFiles
from function.health import Health
from function.images import Images
from function.ledger import Ledger
from function.metrics import Metrics
from function.render import Renderer
from function.render.sdxl import SdxlRenderer
from function.rendering import Darkroom
from function.sink import HttpSink, Sink
from function.slots import Slots
from function.standalone import Standalone
from function.store import ObjectStore, S3Store, s3_client
from function.sweep import Sweep
from function.telling import ImageUrls, PresignedUrls, PublicUrls, Telling

# How long a prompt waits for the slot in standalone, where no broker would send it again.
PATIENCE = 60.0


@dataclass(frozen=True)
class Function:
    """An application with the health that its probes tell, what loads its model, and what runs beside it."""

    app: Flask
    health: Health
    load: Callable[[], None]
    start: Callable[[], None]


def renderer_for(settings: Settings) -> Renderer:
    return SdxlRenderer(
        model=settings.model,
        revision=settings.model_revision,
        variant=settings.model_variant,
        vae=settings.vae,
        device=settings.device,
        dtype=settings.dtype,
    )


def image_store(settings: Settings) -> ObjectStore:
    """The image bucket, presigning for the endpoint that outsiders reach."""
    public = s3_client(settings.s3_public_endpoint) if settings.s3_public_endpoint else None
    return S3Store(s3_client(), settings.image_bucket, public)


def build(settings: Settings, renderer: Renderer | None = None, *, standalone: bool = False) -> Function:
    """The function as the settings want it; nothing runs and nothing is loaded yet."""
    renderer = renderer or renderer_for(settings)
    health, metrics = Health(), Metrics()
    store = image_store(settings)
    sink: Sink | None = None
    if settings.sink:
        sink = HttpSink(settings.sink, settings.ce_overrides, settings.ca_certs)
    urls: ImageUrls = PresignedUrls(store, settings.url_expiry)
    if settings.public_url:
        urls = PublicUrls(settings.public_url)
    telling = Telling(store, urls, sink, results_tell=standalone and sink is None)
    darkroom = Darkroom(
        ledger=Ledger(
            store,
            S3Store(s3_client(attempts=1, patience=settings.beat), settings.image_bucket),
            lease=settings.lease,
            beat=settings.beat,
            told_by="sink" if sink else "reply",
        ),
        slots=Slots(patience=PATIENCE if standalone else 0),
        renderer=renderer,
        images=Images(store),
        telling=telling,
        health=health,
        metrics=metrics,
        source=settings.source,
        render_limit=settings.render_limit,
    )
    client = s3_client()
    files = PromptFiles(
        {bucket: S3Store(client, bucket) for bucket in settings.prompt_buckets},
        image_bucket=settings.image_bucket,
        prefix=settings.prompt_prefix,
        suffix=settings.prompt_suffix,
        limit=settings.max_prompt_file,
    )
    if not standalone:
        app = create_app(settings, darkroom, files, health, metrics, door=None)
        return Function(app, health, renderer.load, lambda: None)
    alone = Standalone(darkroom, files, store, health)
    sweep = Sweep(store, files, telling, alone.offer, horizon=settings.horizon)
    app = create_app(settings, darkroom, files, health, metrics, door=alone.door)
    return Function(app, health, renderer.load, lambda: alone.start(sweep, settings.sweep_interval))
