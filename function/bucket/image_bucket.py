"""The image bucket, as the settings want it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import structlog

from function.bucket.keeping import Keeping
from function.config import Settings
from function.store import ObjectStore, S3Store, s3_client
from function.store.check_store import KEYS, RACERS, Finding, check_store, require_kept
from function.store.patience import once_there
from function.store.race import RACER_PATIENCE
from function.telling import ImageUrls, PresignedUrls, PublicUrls

log = structlog.get_logger()


def image_store(settings: Settings) -> ObjectStore:
    """The image bucket, presigning for the endpoint that outsiders reach."""
    public = s3_client(settings.s3_public_endpoint) if settings.s3_public_endpoint else None
    client = s3_client(connections=settings.publish_at_once + 10)
    return S3Store(client, settings.image_bucket, public, Keeping.wanted(settings).asked_for)


def image_urls(settings: Settings, store: ObjectStore) -> ImageUrls:
    """How pictures are fetched."""
    return PublicUrls(settings.public_url) if settings.public_url else PresignedUrls(store, settings.url_expiry)


def check_image_store(settings: Settings, racers: int = RACERS, keys: int = KEYS) -> Iterator[Finding]:
    """What becomes of each promise of the image bucket, tried by two clients as two processes have them."""
    one, other = (S3Store(s3_client(), settings.image_bucket) for _ in range(2))
    clients = (s3_client(attempts=1, patience=RACER_PATIENCE, connections=racers) for _ in range(2))
    return check_store(one, other, racers, keys, racing=[S3Store(client, settings.image_bucket) for client in clients])


def after_check(settings: Settings, load: Callable[[], None]) -> Callable[[], None]:
    """`load`, if the settings want it only after the image bucket, once it is there, has kept its promises."""

    def check() -> None:
        require_kept(check_image_store(settings), lambda sentence: log.error("store.broken", error=sentence))

    def checked() -> None:
        once_there(check, lambda away: log.warning("store.away", error=str(away)))
        log.info("store.checked", bucket=settings.image_bucket)
        load()

    return checked if settings.check_store else load
