"""The HTTP doors: events, drops, probes and metrics, as one Flask application."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from typing import Final, Protocol

import structlog
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from events.envelope import write
from function.config import Settings
from function.errors import DarkroomError, Lacking, TooLarge, Unauthorized, Unavailable, of_the_machine
from function.health import Health, State
from function.metrics import Metrics
from function.slots import Slots

MAX_BODY: Final = 1 << 20

# Requests that may be under way at once at `POST /`, and at all other doors together; the server has more threads,
# so probes always find one.
ADMITTED: Final = 8

# Seconds after which whoever was refused for now may come again.
RETRY_AFTER: Final = "5"

# A draining process is alive; a defunct one is to be restarted.
PROBES: Final[Mapping[str, Callable[[State], bool]]] = {
    "startup": lambda state: state is State.READY,
    "readiness": lambda state: state is State.READY,
    "liveness": lambda state: state is not State.DEFUNCT,
}

log = structlog.get_logger()


class Door(Protocol):
    """Answers a POST; header names in lower case."""

    def __call__(self, headers: Mapping[str, str], body: bytes) -> Response: ...


class WaitingDoor(Door, Protocol):
    """A door whose sender waits for pictures, and is told in its own language why there are none."""

    def refused(self, error: DarkroomError) -> Response: ...


Refusal = Callable[[DarkroomError], Response]


def create_app(
    settings: Settings,
    health: Health,
    metrics: Metrics,
    *,
    event: Door | None,
    drop: Door | None = None,
    waiting: Mapping[str, WaitingDoor] | None = None,
    guard_events: bool = False,
    max_body: int = MAX_BODY,
) -> Flask:
    """The application: `event` answers `POST /` (with the token if `guard_events`), `drop` answers `POST /drop`.

    Those in `waiting` answer at their paths. Without `event` it is for outsiders, who see no metrics either. Bodies of
    more than `max_body` bytes are refused.
    """
    app = Flask("darkroom")
    app.config |= {"MAX_CONTENT_LENGTH": max_body, "PROVIDE_AUTOMATIC_OPTIONS": False}

    events, drops = Answering(metrics), Answering(metrics)

    def add(path: str, door: Door, answering: Answering, refusal: Refusal, *, guarded: bool = True) -> None:
        def post() -> Response:
            def answer() -> Response:
                if guarded:
                    _check_token(settings, request.headers.get("Authorization", ""))
                return door({name.lower(): value for name, value in request.headers.items()}, request.get_data())

            return answering(path, answer, refusal)

        app.add_url_rule(path, path, post, methods=["POST"])

    def exposition() -> Response:
        return Response(metrics.exposition(), content_type="text/plain; version=0.0.4; charset=utf-8")

    if event is not None:
        add("/", event, events, lambda error: _refusal(error, error.event_status), guarded=guard_events)
        app.add_url_rule("/metrics", "metrics", exposition)
    if drop is not None:
        add("/drop", drop, drops, lambda error: _refusal(error, error.drop_status))
    for path, door in (waiting or {}).items():
        add(path, door, drops, door.refused)

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

    def __call__(self, path: str, answer: Callable[[], Response], refusal: Refusal) -> Response:
        try:
            with self._admission.take():
                response = answer()
        except RequestEntityTooLarge:
            response = refusal(TooLarge())
        except DarkroomError as error:
            log.warning("answer.error", path=path, error=type(error).__name__, detail=str(error))
            response = refusal(error)
        except Exception as error:
            log.exception("answer.crashed", path=path)
            response = refusal(Unavailable() if of_the_machine(error) else DarkroomError())
        self._metrics.answers.labels(path, str(response.status_code)).inc()
        return response


def reply(event: dict[str, object] | None, status: int = 200) -> Response:
    """The event as an HTTP reply, or an empty answer when a sink has taken it."""
    if event is None:
        return Response(status=status)
    headers, body = write(event)
    return Response(body, status=status, headers=headers)


def _refusal(error: DarkroomError, status: int) -> Response:
    if status < 300:
        return Response(status=status)
    retry = {"Retry-After": RETRY_AFTER} if status in (429, 503) else None
    return Response(sentence_for(error) + "\n", status=status, content_type="text/plain", headers=retry)


def sentence_for(error: DarkroomError) -> str:
    """What the sender is told."""
    # The class's own sentence, not the instance's: details of the installation are for the log. What it lacks is for
    # the sender, who can ask for something else.
    return str(error) if isinstance(error, Lacking) else type(error).message


def _check_token(settings: Settings, header: str) -> None:
    if settings.door_token is None:
        return
    sent = header.removeprefix("Bearer ").strip()
    # WSGI shows a header's bytes as Latin-1.
    if not hmac.compare_digest(sent.encode("latin-1"), settings.door_token.get_secret_value().encode()):
        raise Unauthorized
