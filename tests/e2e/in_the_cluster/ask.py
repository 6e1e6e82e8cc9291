"""Runs in a pod: asks for a URL, as long as it takes, and prints what comes."""

from __future__ import annotations

import sys
import urllib.request

if __name__ == "__main__":
    with urllib.request.urlopen(sys.argv[1], timeout=float(sys.argv[2])) as answer:  # noqa: S310  # our own URL
        print(answer.read().decode())
