"""A program: the real `darkroom render` behind one of these, each of which breaks a promise to the dispatcher.

`python -m tests.dispatch.mutants NAME render`
"""

from __future__ import annotations

import io
import itertools
import json
import sys
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from werkzeug.test import run_wsgi_app

from tests.drawing.__main__ import main

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

Answer = tuple[str, list[tuple[str, str]], bytes]
EMPTY: Final = b""


class Mutant:
    """Hands every event on and answers as the application does."""

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] != "POST":
            return self._app(environ, start)
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        status, headers, answer = self.answer(environ, body)
        kept = [(name, value) for name, value in headers if name.lower() != "content-length"]
        start(status, [*kept, ("Content-Length", str(len(answer)))])
        return [answer]

    def answer(self, environ: WSGIEnvironment, body: bytes) -> Answer:
        parts, status, headers = run_wsgi_app(self._app, {**environ, "wsgi.input": io.BytesIO(body)}, buffered=True)
        return status, list(headers), b"".join(parts)


class Harmless(Mutant):
    """Breaks nothing, which shows that it is not the wrapping that is caught."""


class AnswersBeforeItRecorded(Mutant):
    def answer(self, environ: WSGIEnvironment, body: bytes) -> Answer:
        threading.Thread(target=super().answer, args=(dict(environ), body)).start()
        return "202 ACCEPTED", [], EMPTY


class RefusesWhatIsInProgress(Mutant):
    def answer(self, environ: WSGIEnvironment, body: bytes) -> Answer:
        status, headers, answer = super().answer(environ, body)
        return ("400 BAD REQUEST" if status.startswith("409") else status), headers, answer


class AcceptsWhatIsInProgress(Mutant):
    """As if a duplicate had nothing to hear."""

    def answer(self, environ: WSGIEnvironment, body: bytes) -> Answer:
        status, headers, answer = super().answer(environ, body)
        return ("202 ACCEPTED", [], EMPTY) if status.startswith("409") else (status, headers, answer)


class TellsOnlyOnce(Mutant):
    def __init__(self, app: WSGIApplication) -> None:
        super().__init__(app)
        self._told: set[bytes] = set()

    def answer(self, environ: WSGIEnvironment, body: bytes) -> Answer:
        status, headers, answer = super().answer(environ, body)
        if not status.startswith("200"):
            return status, headers, answer
        if body in self._told:
            return "200 OK", [], EMPTY
        self._told.add(body)
        return status, headers, answer


class TellsEachTimeAnew(Mutant):
    """Every telling has an id of its own, so that no subscriber knows it again."""

    count = itertools.count()

    def answer(self, environ: WSGIEnvironment, body: bytes) -> Answer:
        status, headers, answer = super().answer(environ, body)
        if status.startswith("200"):
            answer = json.dumps(json.loads(answer) | {"id": str(next(self.count))}).encode()
        return status, headers, answer


class KnowsNoDuplicate(Mutant):
    count = itertools.count()

    def answer(self, environ: WSGIEnvironment, body: bytes) -> Answer:
        return super().answer({**environ, "HTTP_CE_SOURCE": f"/{next(self.count)}"}, body)


class DrawsTwice(Mutant):
    """Tells what it should, and has drawn for nothing."""

    def answer(self, environ: WSGIEnvironment, body: bytes) -> Answer:
        super().answer({**environ, "HTTP_CE_SOURCE": "/for/nothing"}, body)
        return super().answer(environ, body)


class ChatsWithTheDispatcher(Mutant):
    def answer(self, environ: WSGIEnvironment, body: bytes) -> Answer:
        status, headers, answer = super().answer(environ, body)
        if status.startswith("200"):
            return status, [("Content-Type", "application/json")], b'{"ok": true}'
        return status, headers, answer


MUTANTS: Final[dict[str, Callable[[WSGIApplication], WSGIApplication]]] = {
    mutant.__name__: mutant for mutant in Mutant.__subclasses__()
}


if __name__ == "__main__":
    main(sys.argv[2], MUTANTS[sys.argv[1]])
