"""Examinations, run one after another, each within its time and none at the cost of the next."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator

from function.doctor.finding import Examination, Finding, why


def findings(examination: Examination, patience: float = 1.0) -> Iterator[Finding]:
    """What is found within `patience` times the examination's own time.

    What is cut off or fails ends with a finding that says so, with the examination's name for a check.
    """
    heard: queue.SimpleQueue[Finding | None] = queue.SimpleQueue()
    # A daemon: what still hangs, in a name server or a file system, is left behind when the command ends.
    threading.Thread(target=_examine, args=(examination, heard), daemon=True).start()
    seconds = examination.seconds * patience
    deadline = time.monotonic() + seconds
    while True:
        try:
            finding = heard.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            cut_off = f"no answer within {seconds:g} s; try again, or with --patience"
            yield Finding(examination.name, "unknown", cut_off)
            return
        if finding is None:
            return
        yield finding


def _examine(examination: Examination, heard: queue.SimpleQueue[Finding | None]) -> None:
    try:
        for finding in examination.run():
            heard.put(finding)
    except Exception as error:  # noqa: BLE001  # whatever it is, the other examinations go on
        heard.put(Finding(examination.name, "unknown", f"could not be looked at: {why(error)}"))
    heard.put(None)
