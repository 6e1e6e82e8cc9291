"""Load a model and draw with it in a fresh process while another thread ticks; print as JSON what that took."""

from __future__ import annotations

import json
import resource
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from events.prompt import validate
from function.render.sdxl import SdxlRenderer

TICK = 0.01
MAIN = time.pthread_getcpuclockid(threading.main_thread().ident or 0)


@contextmanager
def ticking(gaps: dict[str, float]) -> Iterator[None]:
    """Put into `gaps` the longest time between two ticks, and the most that the main thread worked between two."""
    over = threading.Event()

    def tick() -> None:
        wall, work = time.monotonic(), time.clock_gettime(MAIN)
        while not over.wait(TICK):
            now, done = time.monotonic(), time.clock_gettime(MAIN)
            gaps["wall"] = max(gaps["wall"], now - wall)
            gaps["work"] = max(gaps["work"], done - work)
            wall, work = now, done

    gaps |= {"wall": 0.0, "work": 0.0}
    ticker = threading.Thread(target=tick)
    ticker.start()
    try:
        yield
    finally:
        over.set()
        ticker.join()


def main(model: str, revision: str) -> None:
    calls: list[str] = []
    sys.addaudithook(
        lambda event, _: calls.append(event) if event in {"socket.connect", "socket.getaddrinfo"} else None
    )
    renderer = SdxlRenderer(model=model, revision=revision, device="cpu")
    modules = sorted(sys.modules)
    while_loading: dict[str, float] = {}
    while_drawing: dict[str, float] = {}
    began = time.monotonic()
    with ticking(while_loading):
        renderer.load()
    loaded = time.monotonic()
    with ticking(while_drawing):
        renderer.render(validate({"prompt": "a red star", "num_inference_steps": 10}), 0, lambda: None)
    figures = {
        "modules before loading": modules,
        "network calls": calls,
        "load seconds": loaded - began,
        "peak MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "gaps while loading": while_loading,
        "gaps while drawing": while_drawing,
    }
    sys.stdout.write(f"\n{json.dumps(figures)}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
