"""A program: `python -m tests.fuzz.mutant NAME render` is the real server but for one fault, to be found."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterable
from typing import Any, Final

from tests.drawing.__main__ import main

Environ = dict[str, Any]
App = Callable[[Environ, Any], Iterable[bytes]]
Mutant = Callable[[App], App]
KEPT: Final[list[bytes]] = []


def body_of(environ: Environ) -> bytes:
    """The body, which stays to be read."""
    body: bytes = environ["wsgi.input"].read()
    environ["wsgi.input"] = io.BytesIO(body)
    environ["CONTENT_LENGTH"] = str(len(body))
    return body


def echoing(app: App) -> App:
    """Says what was wrong with what was sent."""

    def answer(environ: Environ, start: Any) -> Iterable[bytes]:
        body = body_of(environ)
        status: list[str] = []

        def started(said: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            status.append(said)
            if said.startswith("400"):
                headers = [(name, value) for name, value in headers if name.lower() != "content-length"]
                headers.append(("Content-Length", str(len(body))))
            return start(said, headers, *more)

        said = app(environ, started)
        return [body] if status[0].startswith("400") else said

    return answer


def tripping(app: App) -> App:
    """Knows nothing of half a surrogate pair."""

    def answer(environ: Environ, start: Any) -> Iterable[bytes]:
        if b"\\ud8" in body_of(environ):
            start("500 Internal Server Error", [("Content-Length", "0")])
            return []
        return app(environ, start)

    return answer


def inventing(app: App) -> App:
    """Gives an id to an event that has none."""

    def answer(environ: Environ, start: Any) -> Iterable[bytes]:
        return app({"HTTP_CE_ID": "invented"} | environ, start)

    return answer


def hoarding(app: App) -> App:
    """Keeps something of all that it was sent."""

    def answer(environ: Environ, start: Any) -> Iterable[bytes]:
        KEPT.append(bytes(body_of(environ)) + os.urandom(200_000))
        return app(environ, start)

    return answer


def dying(app: App) -> App:
    """Ends when it is told to by a bracket too many."""

    def answer(environ: Environ, start: Any) -> Iterable[bytes]:
        if b"[" * 65 in body_of(environ):
            os._exit(1)
        return app(environ, start)

    return answer


def harmless(app: App) -> App:
    """Changes nothing, which shows that it is not the wrapping that is found."""

    def answer(environ: Environ, start: Any) -> Iterable[bytes]:
        body_of(environ)
        return app(environ, start)

    return answer


# What each is found by.
MUTANTS: Final[dict[Mutant, str]] = {
    echoing: "repeats what was sent|says what no class of errors says",
    tripping: "500, which nothing has caused",
    inventing: "an event that lacks a required attribute",
    hoarding: "MB were kept",
    dying: "no answer|Connection refused|Connection reset",
}


if __name__ == "__main__":
    main(sys.argv[2], vars()[sys.argv[1]])
