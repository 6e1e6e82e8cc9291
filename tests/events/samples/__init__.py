"""The samples as tests use them: each message beside the truth about it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from events.dialects import Carried, Dropped, Found, Prompted, read
from events.envelope import BATCH, STRUCTURED, Message, decode_json, encode_json, read_batch
from events.envelope import read as read_event
from events.request import ObjectRef, context_of

RECORDED: Final = ("minio", "seaweedfs")
DOCUMENTED: Final = ("adapter", "aws", "ceph", "eventbridge", "integration", "kafka", "rustfs", "sqs")
CARRIER: Final = {"specversion": "1.0", "id": "one", "source": "/tests", "type": "com.example.s3"}


@dataclass(frozen=True)
class Sample:
    """What was done to a server, what it said of it, and what that means."""

    name: str
    datas: tuple[bytes, ...]
    attributes: Mapping[str, str] | None
    objects: tuple[ObjectRef, ...]
    carried: tuple[Carried, ...]

    @property
    def truth(self) -> tuple[list[ObjectRef], list[Carried]]:
        """Every object in the order of its key, which servers do not keep, and what the messages carry themselves."""
        return sorted(self.objects, key=lambda ref: ref.key), list(self.carried)


def _sample(server: str, case: dict[str, Any]) -> Sample:
    attributes = case.get("attributes")
    context = context_of(Message(None, attributes or {}))
    return Sample(
        name=f"{server}: {case['what']}",
        datas=(*map(encode_json, case["messages"]), *(text.encode() for text in case.get("texts", []))),
        attributes=attributes,
        objects=tuple(ObjectRef(**created) for created in case["created"]),
        carried=tuple(Carried(**carried, context=context) for carried in case.get("carried", [])),
    )


CASES: Final[dict[str, list[dict[str, Any]]]] = {
    server: json.loads(Path(__file__).with_name(f"{server}.json").read_text("ascii"))
    for server in (*RECORDED, *DOCUMENTED)
}
SAMPLES: Final = [_sample(server, case) for server, cases in CASES.items() for case in cases]


def case(server: str, what: str) -> dict[str, Any]:
    """The one case of that name."""
    (found,) = (case for case in CASES[server] if case["what"] == what)
    return found


def binary(attributes: Mapping[str, str], data: bytes) -> tuple[dict[str, str], bytes]:
    """The event as a server hands it on: names in lower case, bytes as Latin-1; Ceph does not encode its subject."""
    headers = {f"ce-{name}": value.encode().decode("latin-1") for name, value in attributes.items()}
    type_ = headers.pop("ce-datacontenttype", None)
    return headers | ({"content-type": type_} if type_ else {}), data


def structured(attributes: Mapping[str, str], data: bytes) -> tuple[dict[str, str], bytes]:
    return {"content-type": f"{STRUCTURED}; charset=utf-8"}, encode_json(event(attributes, data))


def batch(attributes: Mapping[str, str], data: bytes) -> tuple[dict[str, str], bytes]:
    return {"content-type": BATCH}, encode_json([event(attributes, data)])


def event(attributes: Mapping[str, str], data: bytes) -> dict[str, Any]:
    """The event in its JSON form; what JSON would spell otherwise, or is none, goes in base64."""
    try:
        value = decode_json(data)
        as_json = encode_json(value) == data and "json" in attributes.get("datacontenttype", "json")
    except ValueError:
        as_json = False
    return {**attributes} | ({"data": value} if as_json else {"data_base64": base64.b64encode(data).decode()})


def raw(_: Mapping[str, str], data: bytes) -> tuple[dict[str, str], bytes]:
    return {}, data


MODES: Final = {"raw": raw, "binary": binary, "structured": structured, "batch": batch}


def understood(headers: Mapping[str, str], body: bytes) -> Iterator[Found]:
    """What is found in an HTTP request."""
    if headers.get("content-type") == BATCH:
        yield from map(read, read_batch(headers, body))
    else:
        yield read(read_event(headers, body) if headers else Message(decode_json(body), body=body))


def told(founds: list[Found]) -> tuple[list[ObjectRef], list[Carried]]:
    """What was found, in the form of a sample's truth."""
    assert not any(isinstance(found, Prompted) for found in founds)
    refs = [ref for found in founds if isinstance(found, Dropped) for ref in found.objects]
    return sorted(refs, key=lambda ref: ref.key), [found for found in founds if isinstance(found, Carried)]
