"""The door of `darkroom render`: one CloudEvent, one request, one outcome."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import structlog
from flask import Response

from events.dialects import Carried, Dropped, Nothing, Prompted
from events.envelope import Message
from events.request import ObjectRef, context_of
from function.bucket.files import Asked, PromptFiles, Prompts
from function.doors.app import reply
from function.doors.arriving import read_one
from function.errors import WouldExpand
from function.rendering import Darkroom

log = structlog.get_logger()


class RenderDoor:
    """Answers `POST /` with the outcome of what the event asks for; what would expand is for intake."""

    def __init__(self, darkroom: Darkroom, files: PromptFiles) -> None:
        self._darkroom = darkroom
        self._files = files

    def __call__(self, headers: Mapping[str, str], body: bytes) -> Response:
        arrival = read_one(headers, body)
        message, found = arrival.message, arrival.found
        context = context_of(message)
        match found:
            case Nothing(reason):
                log.info("event.nothing", type=message.type, reason=reason)
                return Response(status=204)
            case Prompted(request):
                return reply(self._darkroom(request))
            case Carried():
                return self._only(self._files.carried(found), context)
            case Dropped(objects):
                return self._object(message, objects, context)

    def _object(self, message: Message, objects: tuple[ObjectRef, ...], context: Mapping[str, str]) -> Response:
        wanted = [ref for ref in objects if self._files.admits(ref)]
        if not wanted:
            log.info("event.not_admitted", type=message.type)
            return Response(status=204)
        if len(wanted) > 1:
            raise WouldExpand
        (ref,) = wanted
        file = self._files.read(ref)
        if file is not None:
            return self._only(file, context)
        # Without a version or an etag nobody can say which content was gone.
        return reply(self._darkroom.settling.miss(ref)) if ref.identified else Response(status=204)

    def _only(self, prompts: Prompts, context: Mapping[str, str]) -> Response:
        if len(prompts) > 1:
            raise WouldExpand
        (asked,) = prompts
        return reply(self._darkroom.take(Asked(replace(asked.request, context=context), asked.refusal)))
