"""What stands between the processes in a cluster, Knative's broker with its Triggers, reproduced from its rules.

Reproduced is what decides about an event: what the broker takes, to whom and how often it delivers (dispatchers.py),
and what becomes of replies and of what nobody took. Seconds are divided by `factor`, so that hours of backoff pass in a
test; what was waited is kept in the seconds that Knative would have waited. Headers are percent-encoded, as the HTTP
binding wants it and the channel-based broker does it; Kafka's dispatcher does not (tests/servers/kafkasource.py). Left
out are Kafka itself (nothing survives the process, and there is no order), data other than JSON, all filters but the
exact type, the hop count of the channel-based broker and Retry-After. The real one runs in another suite, on a cluster.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

import urllib3

from function.demo.process import free_ports
from tests.receiver import Delivery, answering
from tests.servers.dispatchers import DELIVERY, KAFKA, DeliverySpec, Dispatcher
from tests.servers.event import NO_EVENT, Event

IN_FLIGHT: Final = 50  # events at once to a Trigger, those included that wait for their next try: max.poll.records
BACKLOG: Final = 50_000


@dataclass(frozen=True)
class Hazard:
    """What befalls one try: its answer is lost once it is on the way, or its sender is gone after real seconds."""

    answer_lost: bool = False
    gone_after: float | None = None


# Of an event's try 0, 1, 2…
Hazards = Callable[[Event, int], Hazard]


def calm(_event: Event, _attempt: int) -> Hazard:
    return Hazard()


@dataclass(frozen=True)
class Settled:
    """An event that is through with a Trigger: the status of each try's answer, None for none, and the seconds between.

    The seconds are those that Knative would have waited.
    """

    event: Event
    type: str
    answers: tuple[int | None, ...]
    waited: tuple[float, ...]
    taken: bool


class Service:
    """Pods behind one address; each is given `at_once` requests at a time, and more wait for a free place in turn."""

    def __init__(self, *pods: str, at_once: int) -> None:
        self.address = pods[0]
        self._lock = threading.Lock()
        self._free = deque(pods * at_once)
        self._waiting: deque[queue.SimpleQueue[str]] = deque()

    @contextmanager
    def place(self, seconds: float | None) -> Iterator[str]:
        """A pod's URL; `queue.Empty` if none has a free place within `seconds`."""
        turn: queue.SimpleQueue[str] = queue.SimpleQueue()
        with self._lock:
            if self._free:
                turn.put(self._free.popleft())
            else:
                self._waiting.append(turn)
        try:
            pod = turn.get(timeout=seconds)
        except queue.Empty:
            with self._lock:
                if turn in self._waiting:
                    self._waiting.remove(turn)
                    raise
            pod = turn.get()  # its turn came in the last moment
        try:
            yield pod
        finally:
            with self._lock:
                if self._waiting:
                    self._waiting.popleft().put(pod)
                else:
                    self._free.append(pod)


@dataclass(frozen=True)
class _Answer:
    status: int | None
    body: bytes = b""
    reply: Event | None = None
    taken: bool = False


@dataclass(frozen=True)
class _Trigger:
    type: str
    service: Service
    threads: ThreadPoolExecutor


class Broker:
    """Takes events at `url` for the length of a `with`, and delivers each until it is taken, or is one of the `dead`.

    The dead carry Knative's error extensions; those that a `dead_letter_sink` does not take are in `lost`, too.
    """

    def __init__(
        self,
        dispatcher: Dispatcher = KAFKA,
        delivery: Mapping[str, Any] = DELIVERY,
        *,
        factor: float = 100,
        least_timeout: float = 30,
        hazards: Hazards = calm,
        dead_letter_sink: str | None = None,
        backlog: int = BACKLOG,
    ) -> None:
        (self.port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self.port}/default/darkroom"
        self.accepted: list[Event] = []
        self.settled: list[Settled] = []
        self.dead: list[Event] = []
        self.lost: list[Event] = []
        self._dispatcher, self._spec, self._factor = dispatcher, DeliverySpec.of(delivery), factor
        timeout = dispatcher.timeout(self._spec)
        # The work is not scaled, so by default its time is not, either.
        self._timeout = max(timeout / factor, least_timeout) if timeout else None
        self._hazards, self._backlog = hazards, backlog
        self._replies = Service(self.url, at_once=IN_FLIGHT)
        self._dead_letters = Service(dead_letter_sink, at_once=IN_FLIGHT) if dead_letter_sink else None
        self._over, self._server = threading.Event(), ExitStack()
        self._triggers: list[_Trigger] = []
        self._http = urllib3.PoolManager(maxsize=IN_FLIGHT, retries=False)
        self._lock, self._pending = threading.Lock(), 0

    @property
    def idle(self) -> bool:
        """Whether each event was taken by every subscriber to its type, or is among the dead letters."""
        return not self._pending

    def trigger(self, type: str, *pods: str, at_once: int = IN_FLIGHT) -> None:
        """Deliver events of exactly this type to URLs of pods from now on, `at_once` at a time to each."""
        self._triggers.append(_Trigger(type, Service(*pods, at_once=at_once), ThreadPoolExecutor(IN_FLIGHT)))

    def ingress(self, delivery: Delivery) -> int:
        """The status of the answer to whoever publishes."""
        try:
            return self.publish(Event.read(delivery.headers, delivery.body))
        except NO_EVENT:
            return 400

    def publish(self, event: Event) -> int:
        """Take an event for delivery: 202, or 503 if there are too many."""
        matching = [trigger for trigger in self._triggers if trigger.type == event.attributes["type"]]
        with self._lock:
            if self._pending + len(matching) > self._backlog:
                return 503
            self._pending += len(matching)
            self.accepted.append(event)
        for trigger in matching:
            trigger.threads.submit(self._deliver, event, trigger)
        return 202

    def __enter__(self) -> Self:
        self._server.enter_context(answering(self.port, self.ingress))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Give up on what is waiting for its next try."""
        self._over.set()
        for trigger in self._triggers:
            trigger.threads.shutdown(cancel_futures=True)
        self._http.clear()
        self._server.close()

    def _deliver(self, event: Event, trigger: _Trigger) -> None:
        answers, waited = self._send(event, trigger.service, self._hazards)
        last = answers[-1]
        dead_of = None if last.taken else (trigger.service.address, last)
        if last.reply and (refusal := self._reply(last.reply)):
            dead_of = (self.url, refusal)
        if self._over.is_set():
            return
        if dead_of:
            self._bury(event, *dead_of)
        statuses = tuple(answer.status for answer in answers)
        with self._lock:
            self.settled.append(Settled(event, trigger.type, statuses, tuple(waited), dead_of is None))
            self._pending -= 1

    def _reply(self, reply: Event) -> _Answer | None:
        """Publish a reply; None, or the answer with which that failed."""
        if self._dispatcher.posts_replies:
            last = self._send(reply, self._replies, calm)[0][-1]
            return None if last.taken else last
        status = self.publish(reply)
        return None if status == 202 else _Answer(status)

    def _bury(self, event: Event, address: str, answer: _Answer) -> None:
        extensions = self._dispatcher.error_extensions(address, answer.status, answer.body)
        dead = Event({**event.attributes, **extensions}, event.data)
        self.dead.append(dead)
        if self._dead_letters and not self._send(dead, self._dead_letters, calm)[0][-1].taken:
            self.lost.append(dead)

    def _send(self, event: Event, service: Service, hazards: Hazards) -> tuple[list[_Answer], list[float]]:
        """What each try was answered, and how long each retry waited."""
        answers = [self._try(event, service, hazards(event, 0))]
        waited: list[float] = []
        for attempt, seconds in enumerate(self._dispatcher.backoffs(self._spec), 1):
            last = answers[-1]
            if last.taken or not self._dispatcher.repeats(last.status) or self._over.wait(seconds / self._factor):
                break
            waited.append(seconds)
            answers.append(self._try(event, service, hazards(event, attempt)))
        return answers, waited

    def _try(self, event: Event, service: Service, hazard: Hazard) -> _Answer:
        sent = {"Prefer": "reply", "Kn-Namespace": "default"} | event.headers
        timeout = urllib3.Timeout(read=hazard.gone_after or self._timeout)
        try:
            with service.place(self._timeout) as pod:
                answer = self._http.request(
                    "POST", pod, body=event.data, headers=sent, timeout=timeout, redirect=False, preload_content=False
                )
                if hazard.answer_lost:
                    # It has begun to arrive, so whoever sent it believes it told.
                    answer.close()
                    return _Answer(None, b"the connection was cut")
                body = answer.read()
                answer.release_conn()
        except queue.Empty:
            return _Answer(None, b"no pod had a free place")
        except urllib3.exceptions.HTTPError as error:
            return _Answer(None, f"dispatch error: {error}".encode())
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return self._judged(answer.status, headers, body)

    def _judged(self, status: int, headers: Mapping[str, str], body: bytes) -> _Answer:
        if not 200 <= status < 300:
            return _Answer(status, body)
        if not body and "ce-specversion" not in headers:
            return _Answer(status, taken=True)
        try:
            return _Answer(status, body, Event.read(headers, body), taken=True)
        except NO_EVENT:
            # Knative counts that as a failure, although the event was processed.
            return _Answer(self._dispatcher.no_event or status, body)
