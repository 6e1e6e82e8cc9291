"""Runs in a pod that is told by `kubectl exec` what to do."""

from __future__ import annotations

import signal

if __name__ == "__main__":
    signal.pause()
