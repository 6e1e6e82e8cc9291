"""Asking: the CloudEvents by which intake says that a file was dropped, and what each of its prompts asks for."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from events.contract.event import ImageRequested, PromptsDropped
from events.request import CARRIED, ObjectRef, Request

NO_CONTEXT: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Batch:
    """The prompts that came together: the key of what they came in, and how many there are."""

    id: str
    size: int


def dropped(ref: ObjectRef, context: Mapping[str, str] = NO_CONTEXT) -> dict[str, Any]:
    """The event that says that `ref` was dropped, in its JSON form; the same id each time, if its content is known."""
    return PromptsDropped.now(
        id=ref.file_id if ref.identified else str(uuid.uuid4()),
        source=ref.source,
        subject=ref.subject,
        data={"object": ref.as_data()},
        **_copied(context),
    )


def requested(request: Request, batch: Batch | None = None) -> dict[str, Any]:
    """The event that asks for `request`, whose prompt is valid, in its JSON form; by itself, without a `batch`."""
    # As received, to the last digit: by its hash, prompts under one key are told apart.
    data: Any = request.received
    subject = request.id
    if request.object is not None:
        data = data | {"object": request.object.as_data()}
        subject = request.object.subject
    event = ImageRequested.now(
        id=request.id,
        source=request.source,
        subject=subject,
        batchindex=request.index,
        data=data,
        **({"batchid": batch.id, "batchsize": batch.size} if batch else {}),
        **({"retry": request.retry} if request.retry else {}),
        **({"partitionkey": request.key} | _copied(request.context)),
    )
    return event | {"data": data}


def _copied(context: Mapping[str, str]) -> dict[str, str]:
    return {name: context[name] for name in CARRIED if name in context}
