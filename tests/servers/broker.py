"""What stands between the processes in a cluster, Knative's broker with its Triggers, reproduced from its rules.

Reproduced is what decides about an event in the data plane of the Kafka broker (eventing-kafka-broker 1.23): what it
takes, to whom it delivers, what it repeats, and what becomes of replies. Headers are percent-encoded, as the HTTP
binding wants it and the channel-based broker does it; Kafka's dispatcher does not (tests/servers/kafkasource.py). Left
out are Kafka itself (nothing survives the process, and there is no order), data other than JSON, all filters but the
exact type, and the extensions of dead letters; backoff is scaled down. The real one runs in another suite, on a
cluster.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Self
from urllib.parse import quote, unquote

import urllib3

from function.demo.process import free_ports
from tests.receiver import Delivery, answering

STRUCTURED: Final = "application/cloudevents+json"
# HTTP binding, section 3.1.3.2: everything but these is percent-encoded in a header.
PLAIN: Final = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')
NO_EVENT: Final = (ValueError, AttributeError, TypeError)
REPEATED: Final = frozenset({404, 408, 409, 429})
IN_FLIGHT: Final = 50  # deliveries at once to a Trigger, Kafka's max.poll.records
BACKLOG: Final = 50_000
TIMEOUT: Final = 120.0


@dataclass(frozen=True)
class Event:
    """A CloudEvent with its attributes as text and its data as bytes."""

    attributes: Mapping[str, str]
    data: bytes

    @classmethod
    def read(cls, headers: Mapping[str, str], body: bytes) -> Self:
        """The event in a message (`headers` in lower case), structured or binary; one of NO_EVENT if it is none."""
        if headers.get("content-type", "").startswith(STRUCTURED):
            sent: dict[str, Any] = json.loads(body)
            body = json.dumps(sent.pop("data")).encode() if "data" in sent else b""
        else:
            sent = {name[3:]: unquote(value) for name, value in headers.items() if name.startswith("ce-")}
            sent["datacontenttype"] = headers.get("content-type")
        values = {name: value for name, value in sent.items() if value is not None}
        texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}
        if not all(texts.get(name) for name in ("id", "source", "type")) or texts.get("specversion") != "1.0":
            raise ValueError("a required attribute is missing")
        return cls(texts, body)

    @property
    def headers(self) -> dict[str, str]:
        """The event's headers in binary mode."""
        texts = dict(self.attributes)
        media = {"content-type": texts.pop("datacontenttype")} if "datacontenttype" in texts else {}
        return media | {f"ce-{name}": quote(text, PLAIN) for name, text in texts.items()}


class Broker:
    """Takes events at `url`, delivers them with exponential backoff from `backoff` seconds on, keeps dead letters."""

    def __init__(self, retry: int, backoff: float) -> None:
        (self.port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self.port}/default/darkroom"
        self.accepted: list[Event] = []
        # With the subscriber that did not take it, and the status of its last answer, None if there was none.
        self.dead: list[tuple[Event, str, int | None]] = []
        self._over = threading.Event()
        self._triggers: list[tuple[str, str, ThreadPoolExecutor]] = []
        self._retry, self._backoff = retry, backoff
        self._http = urllib3.PoolManager(maxsize=IN_FLIGHT, retries=False, timeout=TIMEOUT)
        self._lock, self._pending = threading.Lock(), 0

    @property
    def idle(self) -> bool:
        """Whether each event was taken by every subscriber to its type, or is among the dead letters."""
        return not self._pending

    def trigger(self, type: str, subscriber: str, at_once: int = IN_FLIGHT) -> None:
        """Deliver events of exactly this type to a URL from now on, as many at once as its proxy lets through."""
        self._triggers.append((type, subscriber, ThreadPoolExecutor(at_once)))

    def ingress(self, delivery: Delivery) -> int:
        """The status of the answer to whoever publishes."""
        try:
            event = Event.read(delivery.headers, delivery.body)
        except NO_EVENT:
            return 400
        matching = [(url, threads) for type_, url, threads in self._triggers if type_ == event.attributes["type"]]
        with self._lock:
            if self._pending + len(matching) > BACKLOG:
                return 503
            self._pending += len(matching)
            self.accepted.append(event)
        for url, threads in matching:
            threads.submit(self._deliver, event, url)
        return 202

    def close(self) -> None:
        """Give up on what is waiting for its next try."""
        self._over.set()
        for _, _, threads in self._triggers:
            threads.shutdown(cancel_futures=True)
        self._http.clear()

    def _deliver(self, event: Event, url: str) -> None:
        status, taken = None, False
        for attempt in range(self._retry + 1):
            if attempt and self._over.wait(self._backoff * 2**attempt):
                return
            status, taken = self._post(event, url)
            if status is not None and status < 500 and status not in REPEATED:
                break
        if not taken:
            self.dead.append((event, url, status))
        with self._lock:
            self._pending -= 1

    def _post(self, event: Event, url: str) -> tuple[int | None, bool]:
        """The answer's status, None if there is none, and whether with that all is well."""
        sent = {"Prefer": "reply", "Kn-Namespace": "default"} | event.headers
        try:
            answer = self._http.request("POST", url, body=event.data, headers=sent, redirect=False)
        except urllib3.exceptions.HTTPError:
            return None, False
        headers = {name.lower(): value for name, value in answer.headers.items()}
        if not 200 <= answer.status < 300 or not (answer.data or "ce-specversion" in headers):
            return answer.status, answer.status < 300
        # Knative dead-letters an event whose reply is no event, although it was processed.
        return answer.status, self.ingress(Delivery("", headers, answer.data)) == 202


@contextmanager
def running_broker(*, retry: int = 12, backoff: float = 0.01) -> Iterator[Broker]:
    """A broker that takes events for the length of a `with`."""
    broker = Broker(retry, backoff)
    with answering(broker.port, broker.ingress):
        try:
            yield broker
        finally:
            broker.close()
