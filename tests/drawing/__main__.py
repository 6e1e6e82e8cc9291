"""`darkroom render` and `serve`, but for the renderer: it draws noise, as DRAWING_SECONDS, _STEPS and _LOG say."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from wsgiref.types import WSGIApplication

from function.bootstrap import build
from function.config import Settings
from function.doors.server import leave, serve
from function.logs import configure
from function.render import Renderer
from tests.drawing import Drawing


def main(command: str, around: Callable[[WSGIApplication], WSGIApplication] | None = None) -> None:
    """Serve; what is `around` the application sees every request and answer."""
    log = os.environ.get("DRAWING_LOG")
    drawing = Drawing(
        seconds=float(os.environ.get("DRAWING_SECONDS", "0")),
        steps=int(os.environ.get("DRAWING_STEPS", "4")),
        log=Path(log) if log else None,
    )
    run(drawing, standalone=command == "serve", around=around)


def run(
    renderer: Renderer, *, standalone: bool, around: Callable[[WSGIApplication], WSGIApplication] | None = None
) -> None:
    """Serve with this renderer, as the environment says, until the process ends."""
    settings = Settings.from_environment(os.environ)
    built = build(settings, renderer, standalone=standalone)
    if around:
        built.app.wsgi_app = around(built.app.wsgi_app)  # type: ignore[assignment]  # as Flask wants it done
    configure(settings.log_format)
    built.start()
    leave(serve(built.app, settings, built.health, built.load))


if __name__ == "__main__":
    main(sys.argv[1])
