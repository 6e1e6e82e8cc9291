#!/usr/bin/env python3
"""A subscriber in plain Flask: keeps every picture that was drawn in the folder $PICTURES.

flask --app subscriber_flask run --port 8081
"""

from __future__ import annotations

import hashlib
import os
import urllib.request
from pathlib import Path
from typing import Any

from flask import Flask, request

PICTURES = Path(os.environ.get("PICTURES", "pictures"))
PICTURES.mkdir(parents=True, exist_ok=True)

app = Flask(__name__)


@app.post("/")
def take() -> tuple[str, int]:
    """Answer 204 to what is taken or not for us; anything else has the event delivered again."""
    event, data = received()
    if event["type"] != "dev.darkroom.image.completed":
        return "", 204
    # Deliveries with the same source and id are one event; its URLs may differ, all else is the same.
    identity = hashlib.sha256(f"{event['source']}\0{event['id']}".encode()).hexdigest()
    done = PICTURES / f"{identity}.done"
    if done.exists():
        return "", 204
    for number, image in enumerate(data["images"]):
        with urllib.request.urlopen(image["url"], timeout=30) as answer:  # noqa: S310  # from Darkroom, by way of the broker
            picture = answer.read()
        if hashlib.sha256(picture).hexdigest() != image["sha256"]:
            return "the picture is not the one that was announced\n", 502
        (PICTURES / f"{data['key']}-{number}.png").write_bytes(picture)
    done.touch()
    return "", 204


def received() -> tuple[dict[str, Any], dict[str, Any]]:
    """The attributes and the data: as Darkroom sends them, in one JSON object, or in headers, as a broker may."""
    body: dict[str, Any] = request.get_json(force=True)
    if request.mimetype == "application/cloudevents+json":
        return body, body["data"]
    headers = {name.lower(): value for name, value in request.headers.items()}
    return {name.removeprefix("ce-"): value for name, value in headers.items() if name.startswith("ce-")}, body
