#!/usr/bin/env python3
"""A subscriber with the `cloudevents` package: keeps every picture that was drawn in the folder $PICTURES.

flask --app subscriber_cloudevents run --port 8081
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Any

from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from flask import Flask, request

PICTURES = Path(os.environ.get("PICTURES", "pictures"))
PICTURES.mkdir(parents=True, exist_ok=True)
SEEN = PICTURES / "seen.db"
with closing(sqlite3.connect(SEEN)) as database, database:
    database.execute("CREATE TABLE IF NOT EXISTS seen (source, id, PRIMARY KEY (source, id))")

app = Flask(__name__)


@app.post("/")
def take() -> tuple[str, int]:
    """Answer 204 to what is taken or not for us; anything else has the event delivered again."""
    event = from_http_event(HTTPMessage(dict(request.headers), request.get_data()))
    if event.get_type() != "dev.darkroom.image.completed":
        return "", 204
    data: Any = event.get_data()
    # Rolled back if anything below fails, so that the event counts as seen only when its pictures are here.
    with closing(sqlite3.connect(SEEN)) as database, database:
        new = database.execute(
            "INSERT OR IGNORE INTO seen VALUES (?, ?)", (event.get_source(), event.get_id())
        ).rowcount
        if new:
            for number, image in enumerate(data["images"]):
                (PICTURES / f"{data['key']}-{number}.png").write_bytes(fetch(image["url"], image["sha256"]))
    return "", 204


def fetch(url: str, sha256: str) -> bytes:
    """The picture, if it is the one that was announced."""
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310  # from Darkroom, by way of the broker
        picture: bytes = answer.read()
    if hashlib.sha256(picture).hexdigest() != sha256:
        raise ValueError("the picture is not the one that was announced")
    return picture
