"""`darkroom render` and `serve`, but for the renderer: it draws noise, as DRAWING_SECONDS, _STEPS and _LOG say."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from function.bootstrap import build
from function.config import Settings
from function.logs import configure
from function.server import leave, serve
from tests.drawing import Drawing


def main() -> None:
    settings = Settings.from_environment(os.environ)
    log = os.environ.get("DRAWING_LOG")
    drawing = Drawing(
        seconds=float(os.environ.get("DRAWING_SECONDS", "0")),
        steps=int(os.environ.get("DRAWING_STEPS", "4")),
        log=Path(log) if log else None,
    )
    built = build(settings, drawing, standalone=sys.argv[1] == "serve")
    configure(settings.log_format)
    built.start()
    leave(serve(built.app, settings, built.health, built.load))


if __name__ == "__main__":
    main()
