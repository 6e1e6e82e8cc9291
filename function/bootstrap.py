"""The composition root: the only place that knows every class."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from flask import Flask

from events.request import ObjectRef
from function.bucket.files import PromptFiles
from function.bucket.image_bucket import after_check, image_store, image_urls
from function.bucket.images import Images
from function.bucket.inputs import Inputs
from function.bucket.keeping import Keeping
from function.config import Settings, WrongSettings
from function.doors import generate, openai
from function.doors.app import WaitingDoor, create_app
from function.doors.generate import Desk, GenerateDoor
from function.doors.intake import Intake
from function.doors.openai import OpenAIDoor
from function.doors.render import RenderDoor
from function.expander import Expander
from function.health import Health
from function.ledger import Ledger
from function.ledger.settling import Settling
from function.letters.archive import MAX_LETTER, Archive
from function.metrics import Metrics
from function.render import Renderer
from function.rendering import Darkroom
from function.slots import Slots
from function.standalone import Standalone
from function.store import ObjectStore, S3Store, s3_client
from function.store.patience import STORE_PATIENCE
from function.telling import Telling
from function.telling.forgotten import Forgotten
from function.telling.sink import HttpSink, Sink
from function.telling.sweep import Listing, Sweep

# Seconds that a prompt waits for the slot in standalone, where no broker would send it again.
PATIENCE = 60.0
# Files that intake reads at once, and seconds that others wait before they are sent again: more would hold up the door.
FILES_AT_ONCE, FILE_PATIENCE = 2, 10.0

AnySink = TypeVar("AnySink", bound=Sink)

Around = Callable[[ObjectStore], ObjectStore]


@dataclass(frozen=True)
class Function:
    """An application with the health that its probes tell, what loads its model, and what runs beside it."""

    app: Flask
    health: Health
    load: Callable[[], None] = lambda: None
    start: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Foundation:
    """What every command that answers or sweeps stands on."""

    health: Health
    metrics: Metrics
    store: ObjectStore
    files: PromptFiles
    sink: Sink | None
    settling: Settling

    def sweep(self, settings: Settings, offer: Callable[[ObjectRef, Listing], bool]) -> Sweep:
        return Sweep(
            self.store,
            self.files,
            self.settling.telling,
            offer,
            horizon=settings.horizon,
            untold_after=settings.untold_after,
        )


def renderer_for(settings: Settings) -> Renderer:
    # Here, because intake is installed without what draws.
    from function.render.sdxl import SdxlRenderer

    return SdxlRenderer(
        model=settings.model,
        revision=settings.model_revision,
        variant=settings.model_variant,
        vae=settings.vae,
        refiner=settings.refiner,
        adapters=settings.adapters,
        adapters_kept=settings.adapters_kept,
        device=settings.device,
        dtype=settings.dtype,
        attention=settings.attention,
        offload=settings.offload,
        vae_tiling=settings.vae_tiling,
        warm_up_steps=settings.warm_up_steps,
    )


def _unchanged(store: ObjectStore) -> ObjectStore:
    return store


def foundation(settings: Settings, *, results_tell: bool = False, around: Around = _unchanged) -> Foundation:
    health, metrics = Health(settings.drain_grace), Metrics()
    store = around(image_store(settings))
    sink = None
    if settings.sink:
        sink = HttpSink(settings.sink, settings.ce_overrides, settings.ca_certs, connections=settings.publish_at_once)
    ledger = Ledger(
        store,
        around(S3Store(s3_client(attempts=1, patience=settings.beat), settings.image_bucket)),
        lease=settings.lease,
        beat=settings.beat,
        told_by="sink" if sink else "reply",
    )
    settling = Settling(
        ledger=ledger,
        telling=Telling(store, image_urls(settings, store), sink, results_tell=results_tell and sink is None),
        health=health,
        metrics=metrics,
        source=settings.source,
    )
    client = s3_client()
    files = PromptFiles(
        {bucket: S3Store(client, bucket) for bucket in settings.prompt_buckets},
        image_bucket=settings.image_bucket,
        prefix=settings.prompt_prefix,
        suffix=settings.prompt_suffix,
        limits=settings.prompt_limits,
        destinations=settings.destinations,
    )
    return Foundation(health, metrics, store, files, sink, settling)


def build(
    settings: Settings, renderer: Renderer | None = None, *, standalone: bool = False, around: Around = _unchanged
) -> Function:
    """What renders, as the settings want it; nothing runs and nothing is loaded yet.

    `around` gives another image bucket for each client of it, such as one that can be watched.
    """
    # Here, because intake is installed without what encodes.
    from function.finish.finishing import Finishing
    from function.finish.marking import marker_for

    renderer = renderer or renderer_for(settings)
    base = foundation(settings, results_tell=standalone, around=around)
    load = after_check(settings, renderer.load)
    slots = Slots(patience=PATIENCE if standalone else 0)
    darkroom = partial(
        Darkroom,
        settling=base.settling,
        renderer=renderer,
        finish=Finishing(marker_for(settings), metadata=settings.metadata == "full"),
        images=Images(base.store, metadata=settings.metadata == "full"),
        metrics=base.metrics,
        render_limit=settings.render_limit,
        store_patience=STORE_PATIENCE,
        keeping=Keeping.wanted(settings),
        inputs=Inputs({name: S3Store(s3_client(), name) for name in settings.input_buckets}, settings.max_input_file),
    )
    event = RenderDoor(darkroom(slots=slots), base.files)
    desk = Desk(darkroom(slots=slots.patient(PATIENCE)), base.store)
    waiting: Mapping[str, WaitingDoor] = {
        generate.PATH: GenerateDoor(desk),
        openai.PATH: OpenAIDoor(desk, settings.model),
    }
    if not standalone:
        asked = waiting if settings.generate else None
        app = create_app(settings, base.health, base.metrics, event=event, waiting=asked)
        return Function(app, base.health, load)
    alone = Standalone(darkroom(slots=slots), base.files, base.store, base.health)
    sweep = base.sweep(settings, alone.offer)
    # Standalone has all doors on one port, which no cluster guards.
    app = create_app(
        settings, base.health, base.metrics, event=event, drop=alone.door, waiting=waiting, guard_events=True
    )
    return Function(app, base.health, load, lambda: alone.start(sweep, settings.sweep_interval))


def build_intake(settings: Settings, *, only_drop: bool = False) -> Function:
    """What reads prompts and publishes requests; `WrongSettings` without a sink to publish them to.

    With `only_drop` it is for outsiders: `POST /`, which asks for no token, is not there, and there must be a token.
    """
    if only_drop and settings.door_token is None:
        raise WrongSettings("DARKROOM_DOOR_TOKEN is not set; a door that outsiders reach needs a token to ask for")
    base = foundation(settings)
    sink = _needed(base.sink)
    expander = Expander(
        files=base.files,
        settling=base.settling,
        sink=sink,
        store=base.store,
        metrics=base.metrics,
        slots=Slots(FILES_AT_ONCE, FILE_PATIENCE),
        at_once=settings.publish_at_once,
    )
    intake = Intake(files=base.files, expander=expander, sink=sink, health=base.health, metrics=base.metrics)
    event = None if only_drop else intake.event
    app = create_app(settings, base.health, base.metrics, event=event, drop=intake.drop)
    return Function(app, base.health, after_check(settings, lambda: None))


def build_sweep(settings: Settings) -> Sweep:
    """The sweep in front of a broker; `WrongSettings` without a sink that announcements go to."""
    base = foundation(settings)
    base.health.loaded()
    offer = Forgotten(
        base.files,
        base.store,
        _needed(base.sink),
        forgotten_after=settings.forgotten_after,
        republish_after=settings.republish_after,
    )
    return base.sweep(settings, offer)


def build_archive(settings: Settings) -> Function:
    """What keeps dead letters."""
    health = Health(settings.drain_grace)
    door = Archive(image_store(settings), health)
    load = after_check(settings, lambda: None)
    return Function(create_app(settings, health, Metrics(), event=door, max_body=MAX_LETTER), health, load)


def sink_of(settings: Settings, to: str | None = None) -> HttpSink:
    """Where a command sends events: `to`, with the door's token, or the settings' sink; `WrongSettings` without both.

    It may be render itself, which answers after the picture.
    """
    url = to or settings.sink
    token = settings.door_token.get_secret_value() if to and settings.door_token else None
    patience = settings.render_limit
    sink = HttpSink(url, settings.ce_overrides, settings.ca_certs, patience=patience, token=token) if url else None
    return _needed(sink)


def _needed(sink: AnySink | None) -> AnySink:
    if sink is None:
        raise WrongSettings("K_SINK is not set; bind the broker with a SinkBinding, or set it to the URL to publish to")
    return sink
