"""Knative's KafkaSource, as a receiver sees it: every record of a topic becomes a CloudEvent, POSTed to an address.

Reproduced from the data plane of knative-extensions/eventing-kafka-broker (commit 7d8fe89, 2026-07-31) and from what it
is built on, CloudEvents' SDK for Java 4.0.1 over Vert.x 4.5.27; tests/kafka/delivered.json holds what those classes
sent, and a test compares. In short:

- `CloudEventDeserializer`: a record is an event in binary mode (`ce_` headers) or structured mode (its content type).
- `InvalidCloudEventInterceptor`: anything else, a faulty event included, is wrapped as `dev.knative.kafka.event`, with
  the record's key (`KeyDeserializer`) as `key` and `partitionkey`, and its headers as `kafkaheader...`.
- `VertxWebClientRequestMessageWriterImpl`: always binary mode, and nothing is percent-encoded: a character up to U+00FF
  is one byte of Latin-1, any other a question mark, and with a control character in an attribute nothing is sent.
- `WebClientCloudEventSender`, `OffsetManager`: 404, 408, 409, 429, 5xx and no answer at all are repeated, 10 times at
  most; then, as after every other answer, the record is committed, be it delivered or lost.

Left out: how Java spells the numbers of a structured event (1.0E300, and "Infinity" for 1e400); that a header without a
value loses, beside its own record, all that were fetched with it; that what cannot be sent is tried 10 times all the
same, which holds up its partition for 10 minutes; ceOverrides and tracing.
"""

from __future__ import annotations

import base64
import http.client
import json
import queue
import re
import threading
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Literal, Self
from urllib.parse import urlsplit

from confluent_kafka import Consumer
from confluent_kafka import Message as Received

WRAPPED: Final = "dev.knative.kafka.event"
STRUCTURED: Final = "application/cloudevents+json"
RETRIED: Final = frozenset({404, 408, 409, 429})

_REQUIRED: Final = ("id", "source", "type")
_OPTIONAL: Final = ("datacontenttype", "dataschema", "subject", "time")
_IS_JSON: Final = re.compile(r"(application|text)/([a-zA-Z]+\+)?json(;.*)*")
# java.net.URI, brackets aside: no colon in a relative path's first part, and something behind a scheme.
_CHARACTER: Final = r"""(?:%[0-9A-Fa-f]{2}|[^\x00-\x20"#%<>\[\\\]^`{|}\x7f-\xa0\s])"""
_URI: Final = re.compile(rf"(?:[A-Za-z][A-Za-z0-9+.-]*:(?=[^#])|(?![^/?#]*:)){_CHARACTER}*(?:\#{_CHARACTER}*)?")
_TIME: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d)(:\d\d)?(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)", re.ASCII | re.IGNORECASE
)
_REFUSED: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\n(?![ \t])|\r(?!\n)")

Attributes = dict[str, str]
KeyType = Literal["string", "byte-array"]


class NotAnEvent(ValueError):
    """The record is no CloudEvent."""


class Unsendable(ValueError):
    """The record becomes no HTTP request, however often it is tried."""


@dataclass(frozen=True)
class Record:
    """What a topic holds; `timestamp` in milliseconds since 1970."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    headers: Sequence[tuple[str, bytes | None]]
    value: bytes | None


@dataclass(frozen=True)
class Settled:
    """A record that was committed, and what each try to deliver it came to: a status, or why there was none."""

    record: Record
    answers: tuple[int | str, ...]

    @property
    def accepted(self) -> bool:
        last = self.answers[-1]
        return isinstance(last, int) and last < 300


def event_of(record: Record, source: str, key_type: KeyType = "string") -> tuple[Attributes, bytes | None]:
    """Attributes and data of the event that the record holds or, if it holds none, is wrapped in."""
    try:
        headers = dict(record.headers)  # the last one of a name counts
        media = _text(headers.get("content-type"))
        if media.partition(";")[0] == STRUCTURED:
            return _structured(record.value or b"")
        if not media.startswith("application/cloudevents"):
            return _binary(record, _text(headers.get("ce_specversion"))), record.value or None
    except (ValueError, TypeError):
        pass
    return _wrapped(record, source, key_type), record.value


def headers_of(attributes: Attributes) -> list[tuple[str, bytes]]:
    """The headers of an event in binary mode, as Vert.x writes them."""
    if refused := [name for name, text in attributes.items() if _REFUSED.search(text)]:
        raise Unsendable(f"a control character in {', '.join(refused)}")
    return [
        ("content-type" if name == "datacontenttype" else f"ce-{name}", _bytes(text))
        for name, text in attributes.items()
    ]


def _bytes(text: str) -> bytes:
    units = (character if ord(character) < 0x10000 else "??" for character in text)
    return "".join(units).encode("latin-1", "replace")


def _text(value: bytes | None) -> str:
    return (value or b"").decode("utf-8", "replace")


def _binary(record: Record, specversion: str) -> Attributes:
    found: Attributes = {}
    for name, value in record.headers:
        if value is None:
            continue
        if name == "content-type":
            found["datacontenttype"] = _text(value)
        elif name.startswith("ce_") and name != "ce_":
            found[name[3:].lower()] = _text(value)
    return _checked(found | {"specversion": specversion})


def _structured(value: bytes) -> tuple[Attributes, bytes | None]:
    def refuse(name: str) -> object:
        raise NotAnEvent(f"{name} is not JSON")

    # What follows the event is never looked at.
    sent, _ = json.JSONDecoder(parse_constant=refuse).raw_decode(value.decode("utf-8-sig").lstrip())
    if not isinstance(sent, dict) or {"data", "data_base64"} <= sent.keys():
        raise NotAnEvent("no object, or data twice")
    known = {name: sent.pop(name, None) for name in ("specversion", *_REQUIRED, *_OPTIONAL)}
    if any(not isinstance(attribute, str | None) for attribute in known.values()):
        raise NotAnEvent("an attribute is no text")
    if known["datacontenttype"] is None and "data" in sent:
        known["datacontenttype"] = "application/json"
    data = _data(sent, known["datacontenttype"])
    extensions = {name: _extension(extension) for name, extension in sent.items()}
    return _checked({name: text for name, text in known.items() if text is not None} | extensions), data


def _data(sent: dict[str, Any], media: str | None) -> bytes | None:
    if "data_base64" in sent:
        return base64.b64decode(sent.pop("data_base64"), validate=True)
    if "data" not in sent:
        return None
    data = sent.pop("data")
    if _IS_JSON.fullmatch(media or ""):
        return _compact(data).encode("utf-8", "replace")
    if not isinstance(data, str):
        raise NotAnEvent("data that is neither JSON nor text")
    return data.encode("utf-8", "replace")


def _extension(value: object) -> str:
    if isinstance(value, float) or (isinstance(value, int) and not -(2**31) <= value < 2**31):
        raise NotAnEvent("a number that is no 32-bit integer")
    return value if isinstance(value, str) else _compact(value)


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _checked(found: Attributes) -> Attributes:
    if found["specversion"] not in ("1.0", "0.3") or any(name not in found for name in _REQUIRED):
        raise NotAnEvent("an attribute is missing")
    if not all(re.fullmatch(r"[a-z0-9]*", name) for name in found):
        raise NotAnEvent("an attribute has an odd name")
    if not all(_URI.fullmatch(found.get(name, "")) for name in ("source", "dataschema")):
        raise NotAnEvent("source or dataschema is no URI")
    return found | ({"time": _time(found["time"])} if "time" in found else {})


def _time(text: str) -> str:
    """A time as Java writes it: seconds always, of their fraction only what is not zero."""
    if not (match := _TIME.fullmatch(text)):
        raise NotAnEvent("time is none")
    day, minute, second, fraction, zone = match.groups()
    zone = "Z" if zone in ("Z", "z", "+00:00", "-00:00") else zone
    whole = f"{day}T{minute}{second or ':00'}"
    datetime.fromisoformat(whole + zone.replace("Z", "+00:00"))
    fraction = (fraction or "").rstrip("0")
    return f"{whole}{'.' if fraction else ''}{fraction}{zone}"


def _wrapped(record: Record, source: str, key_type: KeyType) -> Attributes:
    where = f"partition:{record.partition}"
    seconds, milliseconds = divmod(record.timestamp, 1000)
    attributes = {
        "specversion": "1.0",
        "id": f"{where}/offset:{record.offset}",
        "source": f"{source}#{record.topic}",
        "type": WRAPPED,
        "subject": f"{where}#{record.offset}",
        "time": _time(f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{milliseconds:03}Z"),
    }
    if record.key:
        key = base64.b64encode(record.key).decode() if key_type == "byte-array" else _text(record.key)
        attributes |= {"partitionkey": key, "key": key}
    for name, value in record.headers:
        if value is None:
            raise Unsendable("a header without a value")
        if name.lower() == "content-type":
            attributes["datacontenttype"] = _text(value).lower()
        else:
            attributes["kafkaheader" + re.sub(r"[^a-z0-9]", "", name.lower())] = _text(value)
    return attributes


class KafkaSource:
    """Delivers the records of a topic, from its beginning and in order, to `address` as long as the context lasts.

    Each record is put into `settled` once it is committed. A source of the same `group` goes on where another ended;
    one without a group begins anew, which is how the real one delivers again what it could not commit.
    """

    def __init__(
        self,
        bootstrap: str,
        topic: str,
        address: str,
        *,
        key_type: KeyType = "string",
        group: str | None = None,
        retries: int = 10,
        backoff: float = 0.3,  # seconds, doubled before each retry
        name: str = "prompts",
        namespace: str = "default",
    ) -> None:
        self.settled: queue.Queue[Settled] = queue.Queue()
        self.source = f"/apis/v1/namespaces/{namespace}/kafkasources/{name}"
        self._topic, self._address, self._namespace = topic, urlsplit(address), namespace
        self._key_type: KeyType = key_type
        self._retries, self._backoff = retries, backoff
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="KafkaSource")
        self._settings = {
            "bootstrap.servers": bootstrap,
            "group.id": group or f"knative-kafka-source-{uuid.uuid4()}",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "allow.auto.create.topics": True,
            "topic.metadata.refresh.interval.ms": 1000,
            "fetch.wait.max.ms": 100,
            "log_level": 0,
        }

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        consumer = Consumer(self._settings)
        try:
            consumer.subscribe([self._topic])
            while not self._ended.is_set():
                received = consumer.poll(0.1)
                if received is None or received.error():  # what is wrong for longer, a test sees by its own deadline
                    continue
                record = _record(received)
                answers = self._deliver(record)
                if not answers:
                    return
                consumer.commit(message=received, asynchronous=False)
                self.settled.put(Settled(record, answers))
        finally:
            consumer.close()

    def _deliver(self, record: Record) -> tuple[int | str, ...]:
        """What each try came to; nothing if the context ended before the record was settled."""
        try:
            attributes, data = event_of(record, self.source, self._key_type)
            headers = headers_of(attributes)
        except Unsendable as error:
            return (str(error),)
        answers: list[int | str] = []
        while not self._ended.wait(self._backoff * 2 ** len(answers) if answers else 0):
            answers.append(self._post(headers, data))
            last = answers[-1]
            again = isinstance(last, str) or last >= 500 or last in RETRIED
            if not again or len(answers) > self._retries:
                return tuple(answers)
        return ()

    def _post(self, headers: list[tuple[str, bytes]], data: bytes | None) -> int | str:
        connection = http.client.HTTPConnection(self._address.hostname or "", self._address.port, timeout=60)
        try:
            connection.putrequest("POST", self._address.path or "/", skip_accept_encoding=True)
            sent = [("user-agent", b"Vert.x-WebClient/4.5.27"), ("Prefer", b"reply")]
            for name, value in [*sent, ("Kn-Namespace", self._namespace.encode()), *headers]:
                connection.putheader(name, value)
            if data is not None:
                connection.putheader("content-length", str(len(data)))
            connection.endheaders(data)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            return repr(error)
        finally:
            connection.close()


def _record(received: Received[bytes, bytes]) -> Record:
    topic, partition, offset = received.topic(), received.partition(), received.offset()
    assert topic is not None
    assert partition is not None
    assert offset is not None
    headers: Any = received.headers() or ()  # a list of pairs, whatever else its type allows when sending
    return Record(topic, partition, offset, received.timestamp()[1], received.key(), tuple(headers), received.value())
