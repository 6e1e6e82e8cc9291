"""Importing torch and diffusers, seconds of work, without holding up the threads that answer probes meanwhile."""

from __future__ import annotations

import atexit
import ctypes
import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path


@contextmanager
def uncollected() -> Iterator[None]:
    """Keep the garbage collector away while much is imported, and from all of that afterwards.

    A full collection of a million objects stops every thread for a quarter of a second of CPU time.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        atexit.register(gc.unfreeze)  # or Triton reports leaks when the process ends
        gc.enable()


def preload_torch() -> None:
    """Let the system's loader read torch's libraries (a gigabyte), which `import torch` has it do under the GIL."""
    # OpenMP reads this as it is loaded. By default threads that wait spin, which starves those that work where cores
    # are shared: with a second busy process on two cores, a render took 11 to 45 s instead of 1 s.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Torch makes a folder for what it compiles as it is imported, and fails where it may not. Here nothing is compiled,
    # so it is given one that is there.
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", os.sep)
    spec = find_spec("torch")
    for place in (spec and spec.submodule_search_locations) or ():
        # A foreign function runs without the GIL, unlike ctypes' own loading. What fails here, torch itself reports.
        ctypes.CDLL(None).dlopen(os.fsencode(Path(place, "lib", "libtorch.so")), os.RTLD_NOW)
