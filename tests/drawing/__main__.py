"""`darkroom render` and `serve`, but for the renderer: it draws noise, as DRAWING_SECONDS, _STEPS and _LOG say."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from wsgiref.types import WSGIApplication

from function.bootstrap import build
from function.config import Settings
from function.logs import configure
from function.server import leave, serve
from tests.drawing import Drawing


def main(command: str, around: Callable[[WSGIApplication], WSGIApplication] | None = None) -> None:
    """Serve; what is `around` the application sees every request and answer."""
    settings = Settings.from_environment(os.environ)
    log = os.environ.get("DRAWING_LOG")
    drawing = Drawing(
        seconds=float(os.environ.get("DRAWING_SECONDS", "0")),
        steps=int(os.environ.get("DRAWING_STEPS", "4")),
        log=Path(log) if log else None,
    )
    built = build(settings, drawing, standalone=command == "serve")
    if around:
        built.app.wsgi_app = around(built.app.wsgi_app)  # type: ignore[assignment]  # as Flask wants it done
    configure(settings.log_format)
    built.start()
    leave(serve(built.app, settings, built.health, built.load))


if __name__ == "__main__":
    main(sys.argv[1])
