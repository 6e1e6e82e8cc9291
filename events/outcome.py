"""Outcomes: the CloudEvents that say how a request ended."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from events.contract.data import Code, File, Image, Link, Unusual
from events.contract.event import ImageFailed, ImageRecorded, OutcomeEvent
from events.prompt import Fault
from events.request import COPIED, Request

__all__ = ["UNRECORDED", "Code", "File", "Image", "Outcome", "Unusual", "completed", "failed"]

# Never recorded: the key belongs to another prompt, the same file may be dropped again, or what lacks be installed.
UNRECORDED: Final = frozenset({"prompt_mismatch", "object_gone", "lacking"})


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
            data["images"] = [_linked(image, url) for image in data["images"]]
        return {**self.event, "data": data}


def _linked(file: Mapping[str, Any], url: Callable[[str], Mapping[str, str]]) -> dict[str, Any]:
    linked = {**file, **Link.model_validate(url(file["key"])).model_dump(exclude_unset=True)}
    if "renditions" in file:
        linked["renditions"] = [_linked(rendition, url) for rendition in file["renditions"]]
    return linked


def completed(
    request: Request,
    source: str,
    images: Sequence[Image],
    prompt: Mapping[str, Any],
    model: Mapping[str, Any],
    timings: Mapping[str, float],
    *,
    software: Mapping[str, str],
    device: str,
    adapters: Sequence[Mapping[str, str]] = (),
    missing: Sequence[Mapping[str, Any]] = (),
    remarks: Sequence[Mapping[str, Any]] = (),
) -> Outcome:
    """The outcome of a render; `prompt` as rendered, `timings` in seconds."""
    data: dict[str, Any] = {
        "images": list(images),
        "prompt": dict(prompt),
        "model": dict(model),
        "software": dict(software),
        "device": device,
        "timings": {name: round(seconds, 3) for name, seconds in timings.items()},
    }
    for name, said in (("adapters", adapters), ("missing", missing), ("remarks", remarks)):
        if said:
            data[name] = [dict(one) for one in said]
    return _outcome(ImageRecorded, request, source, data)


def failed(request: Request, source: str, code: Code, message: str, faults: Sequence[Fault] = ()) -> Outcome:
    """The outcome of a request that cannot be drawn, and why, in one sentence."""
    data: dict[str, Any] = {"code": code, "message": message}
    if faults:
        data["faults"] = [{"where": fault.where, "message": fault.message} for fault in faults]
    return _outcome(ImageFailed, request, source, data)


def _outcome(kind: type[OutcomeEvent], request: Request, source: str, data: dict[str, Any]) -> Outcome:
    # One key has one outcome; what is told beside it must not be taken for its duplicate.
    identity = [request.key, "outcome"]
    if data.get("code") in UNRECORDED:
        identity += [data["code"], request.prompt_hash]
    data["key"] = request.key
    subject = request.id
    if request.object is not None:
        data["source_object"] = request.object.as_data() | {"index": request.index}
        subject = request.object.subject
    event = kind.now(
        id=hashlib.sha256("\0".join(identity).encode()).hexdigest()[:32],
        source=source,
        subject=subject,
        causationid=request.id,
        data=data,
        **{name: request.context[name] for name in COPIED if name in request.context},
    )
    return Outcome(event)
