"""`python -m tests.fuzz.guided -max_total_time=600`: what reads strangers' bytes, under a fuzzer that follows coverage.

It needs atheris, which no lock holds since its wheels are not there for every Python: `pip install atheris`. Its other
options are libFuzzer's. Whatever ends otherwise than as documented ends the run, with the input in a file.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

# Untyped, and absent from most environments.
atheris: Any = import_module("atheris")

with atheris.instrument_imports(include=["events"]):
    from events import promptfile
    from events.dialects import read as read_dialect
    from events.dialects.direct import plain
    from events.envelope import BATCH, STRUCTURED, Message, NotACloudEvent, decode_json, read, read_batch
    from events.promptfile import DEFAULTS, InvalidPromptFile

NAMES = ("a.json", "a.jsonl", "a.yaml", "a.csv", "a.txt", "a")
HEADERS = ("ce-id", "ce-source", "ce-type", "ce-specversion", "ce-time", "ce-subject", "content-type")


def one(data: bytes) -> None:
    """As a prompt file, as a raw message, or as an event in any mode, as the first byte says."""
    provider = atheris.FuzzedDataProvider(data)
    match provider.ConsumeIntInRange(0, 4):
        case 0:
            name = provider.PickValueInList(list(NAMES))
            try:
                list(promptfile.read(name, provider.ConsumeBytes(1 << 16), DEFAULTS))
            except InvalidPromptFile:
                return
        case 1:
            body = provider.ConsumeBytes(1 << 16)
            try:
                value = decode_json(body)
            except ValueError:
                return
            try:
                read_dialect(Message(value, body=body))
            except NotACloudEvent:
                return
            plain(value, None)
        case mode:
            headers = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/", "ce-type": "t"}
            for _ in range(provider.ConsumeIntInRange(0, 3)):
                text = provider.ConsumeBytes(40).decode("latin-1")
                headers[provider.PickValueInList(list(HEADERS))] = text
            headers |= {2: {}, 3: {"content-type": STRUCTURED}, 4: {"content-type": BATCH}}[mode]
            body = provider.ConsumeBytes(1 << 16)
            try:
                for message in read_batch(headers, body) if mode == 4 else (read(headers, body),):
                    read_dialect(message)
            except NotACloudEvent:
                return


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
