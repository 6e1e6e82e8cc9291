"""A program: function.doors.server around an application without a model, in one child process after the other.

`small.py PORT …` serves on each port in turn and writes `{"pid": …}` as a child begins and `{"code": …}` as it ends.
"""

from __future__ import annotations

import json
import os
import sys
import time

from flask import Flask, Response, request

from function.config import Settings
from function.doors.app import MAX_BODY
from function.doors.server import leave, serve
from function.errors import DarkroomError
from function.health import Health, State
from function.logs import configure


def application(health: Health) -> Flask:
    """Takes `?seconds=` of work and answers `?bytes=`; loses what it renders with when it is told so."""
    app = Flask("small")
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY

    @app.post("/")
    def work() -> Response:
        try:
            with health.work():
                time.sleep(float(request.args["seconds"]))
                if "lose" in request.args:
                    health.lost()
        except DarkroomError as error:
            return Response(status=error.event_status)
        return Response(b"x" * int(request.args["bytes"]))

    @app.get("/health/readiness")
    def readiness() -> Response:
        return Response(status=200 if health.state is State.READY else 503)

    return app


def main() -> None:
    configure("json")
    for port in sys.argv[1:]:
        pid = os.fork()
        if pid == 0:
            health = Health()
            settings = Settings.from_environment({"DARKROOM_HOST": "127.0.0.1", "PORT": port})
            leave(serve(application(health), settings, health, load=lambda: None))
        print(json.dumps({"pid": pid}), flush=True)
        _, status = os.waitpid(pid, 0)
        print(json.dumps({"code": os.waitstatus_to_exitcode(status)}), flush=True)


if __name__ == "__main__":
    main()
