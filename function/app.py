"""The HTTP doors: events, drops, probes and metrics, as one Flask application."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final, Protocol

import structlog
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from events.dialects import Dropped, Nothing, Prompted, read
from events.envelope import Message, NotACloudEvent, write
from events.envelope import read as read_event
from events.request import ObjectRef, context_of
from function.config import Settings
from function.errors import DarkroomError, NotAnEvent, TooLarge, Unauthorized, WouldExpand
from function.files import PromptFiles
from function.health import Health, State
from function.metrics import Metrics
from function.rendering import Darkroom
from function.slots import Slots

MAX_BODY: Final = 1 << 20

# Requests that may wait or render at once; the server has more threads than that, so probes always find one.
ADMITTED: Final = 8

# A draining process is alive; a defunct one is to be restarted.
PROBES: Final[Mapping[str, Callable[[State], bool]]] = {
    "startup": lambda state: state is State.READY,
    "readiness": lambda state: state is State.READY,
    "liveness": lambda state: state is not State.DEFUNCT,
}

log = structlog.get_logger()


class Door(Protocol):
    """Takes raw bodies of any dialect."""

    def __call__(self, body: bytes, idempotency_key: str | None) -> Response: ...


def create_app(
    settings: Settings, darkroom: Darkroom, files: PromptFiles, health: Health, metrics: Metrics, door: Door | None
) -> Flask:
    """The application; `door` answers `POST /drop`, which only standalone and intake have."""
    app = Flask("darkroom")
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    answering = Answering(metrics)

    @app.post("/")
    def event() -> Response:
        def answer() -> Response:
            if door is not None:
                # Standalone has both doors on one port, which no cluster guards.
                _check_token(settings, request.headers.get("Authorization", ""))
            headers = {name.lower(): value for name, value in request.headers.items()}
            return _render_event(_read_event(headers), darkroom, files)

        return answering("/", answer, lambda error: error.event_status)

    if door is not None:

        @app.post("/drop")
        def drop() -> Response:
            def answer() -> Response:
                _check_token(settings, request.headers.get("Authorization", ""))
                return door(request.get_data(), request.headers.get("Idempotency-Key"))

            return answering("/drop", answer, lambda error: error.drop_status or error.event_status)

    @app.get("/metrics")
    def exposition() -> Response:
        return Response(metrics.exposition(), content_type="text/plain; version=0.0.4; charset=utf-8")

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Response:
        # An empty body: Knative takes any other body of a 2xx for a broken event, and strangers learn nothing.
        return Response(status=error.code or 500)

    _add_probes(app, health)
    return app


def _add_probes(app: Flask, health: Health) -> None:
    def probe(passed: Callable[[State], bool]) -> Callable[[], Response]:
        def answer() -> Response:
            state = health.state
            return Response(state.value + "\n", status=200 if passed(state) else 503, content_type="text/plain")

        return answer

    for name, passed in PROBES.items():
        app.add_url_rule(f"/health/{name}", name, probe(passed))


class Answering:
    """Turns whatever happens to a request into its one answer, and counts it."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._admission = Slots(ADMITTED)

    def __call__(
        self, path: str, answer: Callable[[], Response], status_of: Callable[[DarkroomError], int]
    ) -> Response:
        try:
            with self._admission.take():
                response = answer()
        except RequestEntityTooLarge:
            response = _refusal(TooLarge(), status_of)
        except DarkroomError as error:
            log.warning("answer.error", path=path, error=type(error).__name__, detail=str(error))
            response = _refusal(error, status_of)
        except Exception:
            log.exception("answer.crashed", path=path)
            response = Response(status=500)
        self._metrics.answers.labels(path, str(response.status_code)).inc()
        return response


def _read_event(headers: dict[str, str]) -> Message:
    try:
        return read_event(headers, request.get_data())
    except NotACloudEvent as error:
        raise NotAnEvent from error


def _render_event(message: Message, darkroom: Darkroom, files: PromptFiles) -> Response:
    try:
        found = read(message)
    except NotACloudEvent as error:
        raise NotAnEvent from error
    match found:
        case Nothing(reason):
            log.info("event.nothing", type=message.type, reason=reason)
            return Response(status=204)
        case Prompted(asked):
            return reply(darkroom(asked))
        case Dropped(objects):
            wanted = [ref for ref in objects if files.admits(ref)]
            if not wanted:
                log.info("event.not_admitted", type=message.type)
                return Response(status=204)
            if len(wanted) > 1:
                raise WouldExpand
            return _render_file(wanted[0], context_of(message), darkroom, files)


def _render_file(ref: ObjectRef, context: Mapping[str, str], darkroom: Darkroom, files: PromptFiles) -> Response:
    file = files.read(ref)
    if file is None:
        # Without a version or an etag nobody can say which content was gone.
        return reply(darkroom.miss(ref)) if ref.identified else Response(status=204)
    if len(file.requests) > 1:
        raise WouldExpand
    asked = replace(file.requests[0], context=context)
    return reply(darkroom.refuse(asked, file.failure) if file.failure else darkroom(asked))


def reply(event: dict[str, object] | None, status: int = 200) -> Response:
    """The event as an HTTP reply, or an empty answer when a sink has taken it."""
    if event is None:
        return Response(status=status)
    headers, body = write(event)
    return Response(body, status=status, headers=headers)


def _refusal(error: DarkroomError, status_of: Callable[[DarkroomError], int]) -> Response:
    status = status_of(error)
    if status < 300:
        return Response(status=status)
    # The class's own sentence, not the instance's: details of the installation are for the log.
    retry = {"Retry-After": "5"} if status in (429, 503) else None
    return Response(type(error).message + "\n", status=status, content_type="text/plain", headers=retry)


def _check_token(settings: Settings, header: str) -> None:
    if settings.door_token is None:
        return
    sent = header.removeprefix("Bearer ").strip()
    if not hmac.compare_digest(sent.encode(), settings.door_token.get_secret_value().encode()):
        raise Unauthorized
