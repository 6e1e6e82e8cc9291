"""Darkroom's own events, and the plain JSON prompt."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import replace
from typing import Final

from events import IMAGE_REQUESTED, PROMPTS_DROPPED
from events.dialects.found import Carried, Dropped, Found, Prompted
from events.envelope import FORBIDDEN, MAX_ATTRIBUTE, Message, NotACloudEvent
from events.prompt import Prompt
from events.request import ObjectRef, Request, context_of, from_object

# The names by which a JSON object is known for a prompt, or for a file of them.
TELLING: Final = frozenset({"prompts", "matrix", *Prompt.model_fields})


def read(message: Message) -> Found | None:
    """An `image.requested` whose data is the prompt, or a `prompts.dropped` that names its object."""
    if message.type == IMAGE_REQUESTED:
        return Prompted(_request(message))
    if message.type == PROMPTS_DROPPED:
        ref = _object(message.data)
        if ref is None:
            raise NotACloudEvent("prompts.dropped does not name its object by bucket and key")
        return Dropped((ref,))
    return None


def _request(message: Message) -> Request:
    if message.data is None and message.body and "datacontenttype" not in message.attributes:
        raise NotACloudEvent("the data of image.requested is broken JSON")
    source, id_, context = message.attributes["source"], message.attributes["id"], context_of(message)
    data, ref = message.data, _object(message.data)
    index, retry = _count(message, "batchindex"), _count(message, "retry") or 0
    if isinstance(data, dict) and ref is not None and index is not None:
        prompt = {name: value for name, value in data.items() if name != "object"}
        derived = from_object(ref, index, prompt)
        if retry:
            derived = derived.retried(retry)
        # Only the right identity is believed: anybody may write "object" beside a prompt.
        if (derived.source, derived.id) == (source, id_):
            return replace(derived, context=context)
    return Request(source, id_, data, context=context)


def _count(message: Message, name: str) -> int | None:
    digits = message.attributes.get(name, "")
    return int(digits) if digits.isascii() and digits.isdecimal() else None


def _object(data: object) -> ObjectRef | None:
    named = data.get("object") if isinstance(data, dict) else None
    if not isinstance(named, dict):
        return None
    bucket, key, version, etag, size = (named.get(name) for name in ("bucket", "key", "version", "etag", "size"))
    if not (isinstance(bucket, str) and bucket and isinstance(key, str) and key):
        return None
    return ObjectRef.named(bucket, key, version, etag, size)


def plain(data: object, idempotency_key: str | None) -> Carried | None:
    """What a JSON body of no dialect asks for, if it looks like prompts."""
    return Carried("/drop", request_id(idempotency_key), data, {}) if looks_like_prompts(data) else None


def request_id(idempotency_key: str | None) -> str:
    """The id of what is no event: without an idempotency key a new one; one that no attribute can hold is hashed."""
    id_ = idempotency_key or str(uuid.uuid4())
    sent = id_.encode("utf-8", "surrogatepass")
    return hashlib.sha256(sent).hexdigest() if len(sent) > MAX_ATTRIBUTE or FORBIDDEN.search(id_) else id_


def looks_like_prompts(data: object) -> bool:
    """Whether a JSON value is meant as a prompt, as prompts, or as a list of them, be they valid or not."""
    if isinstance(data, list):
        return any(isinstance(each, dict) and looks_like_prompts(each) for each in data)
    return isinstance(data, dict) and not data.keys().isdisjoint(TELLING)
