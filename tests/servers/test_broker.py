"""The reproduced broker against its rules: what it repeats and when, replies, dead letters, and what can go wrong."""

from __future__ import annotations

import base64
import json
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import pytest
from pydantic import ValidationError

from function.demo.process import free_ports
from tests.darkroom import eventually
from tests.receiver import Answer, Delivery, answering
from tests.servers.broker import IN_FLIGHT, Broker, Hazard, Settled
from tests.servers.dispatchers import BOTH, DELIVERY, GO, KAFKA, DeliverySpec, Dispatcher
from tests.servers.event import STRUCTURED, Event

ASKED: Final = "asked"
REPLIED: Final = "replied"
REPLY: Final = {"specversion": "1.0", "id": "r", "source": "/subscriber", "type": REPLIED, "data": {"n": 1}}
FAST: Final = 10_000.0

EACH = pytest.mark.parametrize("dispatcher", BOTH, ids=lambda dispatcher: dispatcher.name)


def event(id: str = "1") -> Event:
    return Event({"specversion": "1.0", "id": id, "source": "/tests", "type": ASKED, "subject": "näh 100%"}, b"{}")


def reply(event: Mapping[str, Any] = REPLY, status: int = 200) -> Answer:
    return Answer(status, json.dumps(event).encode(), {"Content-Type": STRUCTURED})


@contextmanager
def subscriber(answer: Callable[[Delivery], int | Answer | None]) -> Iterator[str]:
    """The address of an HTTP server that answers so."""
    (port,) = free_ports(1)
    with answering(port, answer):
        yield f"http://127.0.0.1:{port}/"


@contextmanager
def broker_to(answer: Callable[[Delivery], int | Answer | None], *rules: Any, **more: Any) -> Iterator[Broker]:
    """A broker with one subscriber."""
    with subscriber(answer) as url, Broker(*rules, **{"factor": FAST} | more) as broker:
        broker.trigger(ASKED, url)
        yield broker


def settled(broker: Broker, *events: Event) -> list[Settled]:
    """What becomes of events."""
    for each in events or [event()]:
        assert broker.publish(each) == 202
    eventually(lambda: broker.idle, "every event is settled")
    return [each for each in broker.settled if each.type == ASKED]


def told(broker: Broker) -> list[str]:
    return [event.attributes["id"] for event in broker.accepted if event.attributes["type"] == REPLIED]


@pytest.mark.parametrize(
    ("dispatcher", "delivery", "first", "total"),
    [
        (GO, DELIVERY, [1, 2, 4, 8], 4095),
        (KAFKA, DELIVERY, [2, 4, 8, 16], 8190),
        (GO, {**DELIVERY, "retry": 3}, [1, 2, 4], 7),
        (KAFKA, {**DELIVERY, "retry": 3}, [2, 4, 8], 14),
        # What a broker is given whose manifest says nothing.
        (GO, {"retry": 10, "backoffPolicy": "exponential", "backoffDelay": "PT0.2S"}, [0.2, 0.4], 204.6),
        (KAFKA, {"retry": 10, "backoffPolicy": "exponential", "backoffDelay": "PT0.2S"}, [0.4, 0.8], 409.2),
        (GO, {**DELIVERY, "backoffPolicy": "linear", "retry": 4}, [0, 1, 2], 6),
        (KAFKA, {**DELIVERY, "backoffPolicy": "linear", "retry": 4}, [1, 2, 3], 10),
        (GO, {"retry": 4, "backoffDelay": "PT1S"}, [0, 0, 0, 0], 0),
        (KAFKA, {"retry": 2}, [0.4, 0.8], 1.2),
        (GO, {}, [], 0),
    ],
)
def test_retries_wait_as_the_sources_say(
    dispatcher: Dispatcher, delivery: Mapping[str, Any], first: list[float], total: float
) -> None:
    backoffs = dispatcher.backoffs(DeliverySpec.of(delivery))
    assert backoffs[: len(first)] == first
    assert sum(backoffs) == pytest.approx(total)


def test_times_out_as_asked_and_as_usual() -> None:
    assert {dispatcher.timeout(DeliverySpec.of(DELIVERY)) for dispatcher in BOTH} == {660}
    assert [dispatcher.timeout(DeliverySpec.of({})) for dispatcher in BOTH] == [None, 600]


def test_a_delivery_block_with_a_field_too_many_is_refused() -> None:
    with pytest.raises(ValidationError):
        DeliverySpec.of({**DELIVERY, "retries": 3})


@EACH
@pytest.mark.parametrize("status", [404, 408, 409, 429, 500, 501, 502, 503, 504, 505, None])
def test_repeats_until_retries_are_used_up(dispatcher: Dispatcher, status: int | None) -> None:
    delivery = {**DELIVERY, "retry": 2}
    with broker_to(lambda _: status, dispatcher, delivery) as broker:
        (seen,) = settled(broker)
    assert seen.answers == (status, status, status)
    assert list(seen.waited) == dispatcher.backoffs(DeliverySpec.of(delivery))
    assert not seen.taken
    assert len(broker.dead) == 1


@EACH
@pytest.mark.parametrize("status", [300, 302, 400, 401, 403, 405, 410, 413, 415, 422])
def test_never_repeats_what_is_refused(dispatcher: Dispatcher, status: int) -> None:
    with broker_to(lambda _: status, dispatcher) as broker:
        (seen,) = settled(broker)
    assert (seen.answers, seen.waited, seen.taken) == ((status,), (), False)
    assert len(broker.dead) == 1


@EACH
def test_a_taken_event_is_sent_once_and_as_it_came(dispatcher: Dispatcher) -> None:
    arrived: queue.Queue[Delivery] = queue.Queue()

    def take(delivery: Delivery) -> int:
        arrived.put(delivery)
        return 204

    with broker_to(take, dispatcher) as broker:
        (seen,) = settled(broker)
    assert (seen.answers, seen.taken, broker.dead) == ((204,), True, [])
    delivery = arrived.get_nowait()
    assert Event.read(delivery.headers, delivery.body) == event()
    assert delivery.headers["prefer"] == "reply"
    assert arrived.empty()


@EACH
def test_all_of_the_designs_retries_pass_in_a_test(dispatcher: Dispatcher) -> None:
    with broker_to(lambda _: 503, dispatcher) as broker:
        began = time.monotonic()
        (seen,) = settled(broker)
        real = time.monotonic() - began
    assert seen.answers == (503,) * 13
    assert sum(seen.waited) == {"go": 4095, "kafka": 8190}[dispatcher.name]
    assert real >= sum(seen.waited) / FAST
    print(f"\n{dispatcher.name}: {sum(seen.waited):.0f} s of backoff in {real:.2f} s")


@EACH
@pytest.mark.parametrize("status", [200, 202])
def test_a_reply_is_published(dispatcher: Dispatcher, status: int) -> None:
    with broker_to(lambda _: reply(status=status), dispatcher) as broker:
        (seen,) = settled(broker)
    assert (seen.answers, told(broker), broker.dead) == ((status,), ["r"], [])


@EACH
@pytest.mark.parametrize("body", [b'{"ok": true}', b"done\n"])
def test_an_answer_that_is_no_event_is_a_failure(dispatcher: Dispatcher, body: bytes) -> None:
    with broker_to(lambda _: Answer(200, body, {"Content-Type": "application/json"}), dispatcher) as broker:
        (seen,) = settled(broker)
    # The channel-based broker's filter makes a 502 of it, which is repeated; Kafka's dispatcher gives up at once.
    assert seen.answers == {"go": (502,) * 13, "kafka": (200,)}[dispatcher.name]
    assert len(broker.dead) == 1


@EACH
def test_a_reply_that_cannot_be_published_makes_a_dead_letter_of_what_was_processed(dispatcher: Dispatcher) -> None:
    with broker_to(lambda _: reply(), dispatcher, {**DELIVERY, "retry": 3}, backlog=1) as broker:
        broker.trigger(REPLIED, broker.url)
        (seen,) = settled(broker)
    assert (seen.answers, seen.taken, told(broker)) == ((200,), False, [])
    (dead,) = broker.dead
    assert dead.attributes["id"] == "1"
    assert dead.attributes["knativeerrordest"] == broker.url
    assert dead.attributes["knativeerrorcode"] == "503"


class Reluctant(Broker):
    """Takes the third event that is POSTed to it."""

    posted = 0

    def ingress(self, delivery: Delivery) -> int:
        self.posted += 1
        return 503 if self.posted < 3 else super().ingress(delivery)


@EACH
def test_replies_are_repeated_by_the_one_and_produced_by_the_other(dispatcher: Dispatcher) -> None:
    with subscriber(lambda _: reply()) as url, Reluctant(dispatcher, factor=FAST) as broker:
        broker.trigger(ASKED, url)
        settled(broker)
    assert told(broker) == ["r"]
    assert broker.posted == {"go": 3, "kafka": 0}[dispatcher.name]


@EACH
@pytest.mark.parametrize("length", [0, 10, 767, 768, 2000])
def test_a_dead_letter_says_where_and_why(dispatcher: Dispatcher, length: int) -> None:
    said = b"x" * length
    with broker_to(lambda _: Answer(422, said), dispatcher) as broker:
        settled(broker)
    (dead,) = broker.dead
    extensions = {name: text for name, text in dead.attributes.items() if name.startswith("knativeerror")}
    assert extensions.pop("knativeerrordest").startswith("http://127.0.0.1:")
    assert extensions.pop("knativeerrorcode") == "422"
    # One encodes and cuts, the other cuts and encodes.
    kept = {"go": said[:768], "kafka": said[:1024]}[dispatcher.name]
    assert base64.b64decode(extensions.pop("knativeerrordata", "")) == kept
    assert extensions == {}
    assert {name: dead.attributes[name] for name in event().attributes} == event().attributes


@EACH
def test_without_an_answer_there_is_no_code_or_500(dispatcher: Dispatcher) -> None:
    with broker_to(lambda _: None, dispatcher, {"retry": 0}) as broker:
        settled(broker)
    (dead,) = broker.dead
    assert dead.attributes.get("knativeerrorcode") == {"go": "500", "kafka": None}[dispatcher.name]
    assert b"dispatch error" in base64.b64decode(dead.attributes["knativeerrordata"])


@EACH
def test_dead_letters_are_sent_on_with_the_same_retries_and_may_be_lost(dispatcher: Dispatcher) -> None:
    arrived: queue.Queue[Delivery] = queue.Queue()

    def archive(delivery: Delivery) -> int:
        arrived.put(delivery)
        return 503 if arrived.qsize() < 3 else 202

    delivery = {**DELIVERY, "retry": 2}
    with subscriber(archive) as sink, broker_to(lambda _: 400, dispatcher, delivery, dead_letter_sink=sink) as broker:
        settled(broker)
    assert (len(broker.dead), broker.lost, arrived.qsize()) == (1, [], 3)
    delivered = arrived.get_nowait()
    assert Event.read(delivered.headers, delivered.body) == broker.dead[0]

    with (
        subscriber(lambda _: 503) as sink,
        broker_to(lambda _: 400, dispatcher, delivery, dead_letter_sink=sink) as broker,
    ):
        settled(broker)
    assert broker.lost == broker.dead != []


@EACH
def test_a_silent_subscriber_is_given_up_after_the_timeout_and_tried_again(dispatcher: Dispatcher) -> None:
    asked: queue.Queue[Delivery] = queue.Queue()
    over = threading.Event()

    def slow(delivery: Delivery) -> int:
        asked.put(delivery)
        if asked.qsize() == 1:
            over.wait(30)
        return 204

    with broker_to(slow, dispatcher, {**DELIVERY, "timeout": "PT1M"}, factor=100, least_timeout=0) as broker:
        began = time.monotonic()
        (seen,) = settled(broker)
        seconds = time.monotonic() - began
        over.set()
    assert (seen.answers, seen.taken) == ((None, 204), True)
    assert 0.6 <= seconds < 10


@EACH
def test_a_lost_answer_is_one_that_the_subscriber_gave(dispatcher: Dispatcher) -> None:
    asked: queue.Queue[Delivery] = queue.Queue()

    def answer(delivery: Delivery) -> Answer:
        asked.put(delivery)
        return reply()

    with broker_to(answer, dispatcher, hazards=lambda _, attempt: Hazard(answer_lost=attempt < 2)) as broker:
        (seen,) = settled(broker)
    assert seen.answers == (None, None, 200)
    assert asked.qsize() == 3
    assert told(broker) == ["r"]


@EACH
def test_a_sender_that_is_gone_hears_nothing(dispatcher: Dispatcher) -> None:
    asked, over = threading.Event(), threading.Event()

    def answer(_delivery: Delivery) -> Answer:
        asked.set()
        over.wait(30)
        return reply()

    with broker_to(answer, dispatcher, {"retry": 0}, hazards=lambda *_: Hazard(gone_after=0.2)) as broker:
        (seen,) = settled(broker)
        over.set()
    assert asked.is_set()
    assert (seen.answers, seen.taken, told(broker)) == ((None,), False, [])


def most_at_once(at_once: int, pods: int) -> list[int]:
    """The most events that were under way at each of the pods, of twice what may be in flight."""
    lock, running, most = threading.Lock(), [0] * pods, [0] * pods
    full = threading.Event()

    def answer(pod: int) -> Callable[[Delivery], int]:
        def count(_delivery: Delivery) -> int:
            with lock:
                running[pod] += 1
                most[pod] = max(running[pod], most[pod])
                if sum(running) == min(IN_FLIGHT, at_once * pods):
                    full.set()
            full.wait(10)
            # One too many would come in now.
            threading.Event().wait(0.01)
            with lock:
                running[pod] -= 1
            return 204

        return count

    with ExitStack() as stack:
        urls = [stack.enter_context(subscriber(answer(pod))) for pod in range(pods)]
        broker = stack.enter_context(Broker(factor=1))
        broker.trigger(ASKED, *urls, at_once=at_once)
        settled(broker, *(event(str(number)) for number in range(2 * IN_FLIGHT)))
    assert full.is_set()
    return most


def test_fifty_are_in_flight_and_each_pod_has_as_many_as_its_proxy_lets_through() -> None:
    assert most_at_once(at_once=IN_FLIGHT, pods=1) == [50]
    assert most_at_once(at_once=1, pods=2) == [1, 1]
