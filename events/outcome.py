"""Outcomes: the CloudEvents that say how a request ended."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from events import IMAGE_COMPLETED, IMAGE_FAILED
from events.prompt import Fault
from events.request import COPIED, Request

Code = Literal[
    "attempts_exhausted",
    "invalid_prompt",
    "invalid_prompt_file",
    "no_picture",
    "object_gone",
    "out_of_memory",
    "prompt_mismatch",
    "render_limit_exceeded",
]

SPECVERSION: Final = "1.0"

# Told and never recorded: the key belongs to another prompt, or the same file may be dropped again.
UNRECORDED: Final = frozenset({"prompt_mismatch", "object_gone"})


@dataclass(frozen=True, slots=True)
class Image:
    """A stored picture, as completions name it; the object's `bucket` and `key`, sha256 in hex, size in bytes."""

    bucket: str
    key: str
    sha256: str
    size: int
    seed: int
    width: int
    height: int
    content_type: str

    def as_data(self) -> dict[str, Any]:
        uri = f"s3://{self.bucket}/{self.key}"
        return {name: getattr(self, name) for name in self.__slots__} | {"uri": uri}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a request ended: a CloudEvent in its JSON form, without the URLs that are added at each telling."""

    event: Mapping[str, Any]

    @property
    def code(self) -> str | None:
        """The failure's code, None for a completion."""
        code: str | None = self.event["data"].get("code")
        return code

    def with_urls(self, url: Callable[[str], Mapping[str, str]]) -> dict[str, Any]:
        """The event to tell: each image with what `url(key)` says of it."""
        data = dict(self.event["data"])
        if "images" in data:
            data["images"] = [image | url(image["key"]) for image in data["images"]]
        return {**self.event, "data": data}


def completed(
    request: Request,
    source: str,
    images: Sequence[Image],
    prompt: Mapping[str, Any],
    model: Mapping[str, Any],
    timings: Mapping[str, float],
) -> Outcome:
    """The outcome of a render; `prompt` as rendered, `timings` in seconds."""
    data: dict[str, Any] = {
        "images": [image.as_data() for image in images],
        "prompt": dict(prompt),
        "model": dict(model),
        "timings": {name: round(seconds, 3) for name, seconds in timings.items()},
    }
    return _outcome(request, source, IMAGE_COMPLETED, data)


def failed(request: Request, source: str, code: Code, message: str, faults: Sequence[Fault] = ()) -> Outcome:
    """The outcome of a request that cannot be drawn, and why, in one sentence."""
    data: dict[str, Any] = {"code": code, "message": message}
    if faults:
        data["faults"] = [{"where": fault.where, "message": fault.message} for fault in faults]
    return _outcome(request, source, IMAGE_FAILED, data)


def _outcome(request: Request, source: str, type: str, data: dict[str, Any]) -> Outcome:
    # One key has one outcome; what is told beside it must not be taken for its duplicate.
    identity = [request.key, "outcome"]
    if data.get("code") in UNRECORDED:
        identity += [data["code"], request.prompt_hash]
    data["key"] = request.key
    subject = request.id
    if request.object is not None:
        data["source_object"] = request.object.as_data() | {"index": request.index}
        subject = f"{request.object.bucket}/{request.object.key}"
    event: dict[str, Any] = {
        "specversion": SPECVERSION,
        "id": hashlib.sha256("\0".join(identity).encode()).hexdigest()[:32],
        "source": source,
        "type": type,
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "subject": subject,
        "datacontenttype": "application/json",
        "causationid": request.id,
    }
    event |= {name: request.context[name] for name in COPIED if name in request.context}
    return Outcome(event | {"data": data})
