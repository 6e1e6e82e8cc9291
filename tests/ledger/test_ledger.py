"""The ledger on each stage; and, in memory, what only a store can bring about that fails when told to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

import pytest
from structlog.testing import capture_logs

from events.outcome import failed
from events.request import Request
from function import layout
from function.errors import Draining, InProgress, StoreDown
from function.ledger import MAX_ATTEMPTS, Ledger
from function.ledger.attempts import Attempt, State
from function.store import JSON, Stored
from tests.darkroom import eventually
from tests.fakes import Clock, MemoryStore
from tests.ledger.scenarios import SCENARIOS
from tests.ledger.stage import LONG, Stage, drawn, end_with, held, new_request


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_scenario(stage: Stage, scenario: Callable[[Stage], None]) -> None:
    scenario(stage)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> MemoryStore:
    return MemoryStore(clock=clock)


def there(store: MemoryStore, key: str) -> Stored:
    """The object, which must be there."""
    stored = store.read(key)
    assert stored is not None, f"{key} is not there"
    return stored


def ended(ledger: Ledger, request: Request) -> list[Attempt]:
    return [attempt for attempt in ledger.attempts(request.key) if attempt.ended]


def test_a_lease_is_kept_to_the_second(store: MemoryStore, clock: Clock) -> None:
    request = new_request()
    ledger = Ledger(store, lease=30, beat=LONG)
    with held(ledger, request):
        clock.move(30)
        with pytest.raises(InProgress), ledger.claim(request):
            pass
        clock.move(1)
        with held(ledger, request) as claim:
            assert claim.number == 2


def test_thirty_two_attempts_in_all(store: MemoryStore) -> None:
    request = new_request()
    ledger = Ledger(store, beat=LONG)
    for _ in range(MAX_ATTEMPTS):
        assert not end_with(ledger, request, Draining()).exhausted
    failure = failed(request, "/darkroom", "attempts_exhausted", "it never got to its end")
    # The fact itself may have to be committed more than once: the store may be away at that moment, too.
    for _ in range(3):
        assert end_with(ledger, request, StoreDown()).exhausted
    with held(ledger, request) as claim:
        assert claim.exhausted
        claim.commit(failure)
    assert ledger.outcome(request) == failure


def test_a_store_that_is_away(store: MemoryStore) -> None:
    request = new_request()
    ledger = Ledger(store, beat=LONG)
    store.fail_next(-1, StoreDown("away"))
    with pytest.raises(StoreDown, match="away"):
        ledger.outcome(request)
    with pytest.raises(StoreDown, match="away"), ledger.claim(request):
        pass
    with pytest.raises(StoreDown, match="away"):
        ledger.commit(request, drawn(request))
    store.fail_next(0, StoreDown())
    assert list(store.list("")) == []


def test_a_claim_whose_answer_never_came_is_ended_by_its_owner(store: MemoryStore) -> None:
    request = new_request()
    ledger = Ledger(store, beat=LONG)
    # More often than a request may die.
    for number in range(1, 6):
        store.lose_answers(1, StoreDown("the connection was reset"))
        with pytest.raises(StoreDown, match="reset"), ledger.claim(request):
            pass
        eventually(lambda n=number: len(ended(ledger, request)) == n, "the end of a claim that nobody holds", 10)  # type: ignore[misc]
    with held(ledger, request) as claim:
        assert (claim.number, claim.exhausted) == (6, False)
    assert [attempt.ended for attempt in ledger.attempts(request.key)] == ["StoreDown"] * 5 + ["committed"]


def test_a_claim_that_cannot_be_looked_at_is_ended_by_its_owner(store: MemoryStore, clock: Clock) -> None:
    class Unread(MemoryStore):
        def read(self, key: str, version: str | None = None, limit: int | None = None) -> Stored | None:
            if key.startswith(layout.CLAIMS):
                raise StoreDown("the connection was reset")
            return store.read(key, version, limit)

        def create(self, key: str, body: bytes, *_: object) -> bool:
            # The client has repeated its PUT by itself, and met its own object.
            store.create(key, body)
            return False

    request = new_request()
    with pytest.raises(StoreDown, match="reset"), Ledger(Unread(clock=clock), store, beat=LONG).claim(request):
        pass
    eventually(lambda: ended(Ledger(store), request), "the end of a claim that nobody holds", 10)


def test_nobody_ends_the_claim_of_another(store: MemoryStore) -> None:
    request = new_request()
    before = set(threading.enumerate())
    with held(Ledger(store, beat=LONG), request):
        running = set(threading.enumerate())
        # The claim is there, and the look at whose it is fails once.
        behind = MemoryStore()
        behind.fail_next(1, StoreDown("the connection was reset"))
        with pytest.raises(StoreDown, match="reset"), Ledger(behind, store, beat=LONG).claim(request):
            pass
        eventually(lambda: set(threading.enumerate()) <= running, "the end of the look", 10)
        assert ended(Ledger(store), request) == []
    eventually(lambda: set(threading.enumerate()) <= before, "the end", 10)


def test_a_claim_that_was_never_created_is_not_ended(store: MemoryStore) -> None:
    request = new_request()
    before = set(threading.enumerate())
    store.fail_next(1, StoreDown("away"))
    with pytest.raises(StoreDown, match="away"), Ledger(store, beat=0.02).claim(request):
        pass
    eventually(lambda: set(threading.enumerate()) <= before, "the end of the looks", 10)
    assert list(store.list("")) == []


def test_a_claim_that_is_created_after_its_creator_gave_up_is_ended(store: MemoryStore) -> None:
    """A store that stalls works off what it was sent when nobody waits for it any more."""
    sent: list[tuple[str, bytes]] = []

    class Stalls(MemoryStore):
        def create(
            self, key: str, body: bytes, content_type: str = JSON, metadata: Mapping[str, str] | None = None
        ) -> bool:
            del content_type, metadata
            sent.append((key, body))
            raise StoreDown("no answer")

    request = new_request()
    with pytest.raises(StoreDown, match="no answer"), Ledger(Stalls(), store, beat=0.05).claim(request):
        pass
    store.create(*sent[0])
    eventually(lambda: ended(Ledger(store), request), "the end of a claim that came late", 10)
    (attempt,) = Ledger(store).attempts(request.key)
    assert (attempt.ended, attempt.counts) == ("StoreDown", False)


@pytest.mark.parametrize("error", [MemoryError(), OSError("disk full"), RuntimeError("can't start new thread")])
def test_a_machine_that_has_run_out_uses_up_no_attempt(store: MemoryStore, error: Exception) -> None:
    request = new_request()
    end_with(Ledger(store), request, error)
    (attempt,) = Ledger(store).attempts(request.key)
    assert (attempt.ended, attempt.counts) == ("crashed", False)


def test_without_a_thread_for_the_beats_the_attempt_ends_at_once(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system has no thread left."""

    def none_left(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    request = new_request()
    with monkeypatch.context() as system:
        system.setattr(threading.Thread, "start", none_left)
        with pytest.raises(RuntimeError, match="new thread"), Ledger(store).claim(request):
            pass
    (attempt,) = Ledger(store).attempts(request.key)
    assert (attempt.ended, attempt.counts) == ("crashed", False)


def test_a_record_whose_answer_never_came_counts(store: MemoryStore) -> None:
    request = new_request()
    ledger = Ledger(store, beat=LONG)
    outcome = drawn(request)
    with held(ledger, request) as claim:
        store.lose_answers(1, StoreDown("the connection was reset"))
        assert claim.commit(outcome) == outcome
    with held(ledger, request) as claim:
        assert claim.found == outcome


def test_missed_beats_are_told_and_made_up_for(store: MemoryStore, clock: Clock) -> None:
    request = new_request()
    ledger = Ledger(store, lease=30, beat=0.01)
    with capture_logs() as logs, held(ledger, request):
        store.fail_next(-1, StoreDown("away"))
        eventually(lambda: len(logs) >= 2, "two missed beats", 10)
        store.fail_next(0, StoreDown())
        clock.move(31)
        eventually(lambda: ledger.alive(next(ledger.attempts(request.key))), "a beat", 10)
    assert logs[0] == {
        "event": "claim.not_written",
        "log_level": "warning",
        "key": request.key,
        "attempt": 1,
        "error": "away",
    }


def test_beats_go_through_a_client_of_their_own(store: MemoryStore, clock: Clock) -> None:
    request = new_request()
    beats = MemoryStore(clock=clock)
    with held(Ledger(store, beats, beat=0.01), request):
        name = layout.claim(request.key, 1)
        eventually(lambda: beats.read(name), "a beat", 10)
    eventually(lambda: b"committed" in there(beats, name).body, "the end", 10)
    assert b"ended" not in there(store, name).body


def test_no_beat_comes_after_the_end(store: MemoryStore) -> None:
    request = new_request()
    before = set(threading.enumerate())
    ledger = Ledger(store, beat=0.01)
    with held(ledger, request):
        assert set(threading.enumerate()) > before
    eventually(lambda: set(threading.enumerate()) <= before, "the end of the beats", 10)
    (attempt,) = ledger.attempts(request.key)
    assert attempt.ended == "committed"


def test_an_end_is_written_as_soon_as_the_store_is_back(store: MemoryStore) -> None:
    request = new_request()
    ledger = Ledger(store, beat=0.05)
    with capture_logs() as logs, held(ledger, request):
        store.fail_next(-1, StoreDown("away"))
    assert {"event": "claim.not_written", "error": "away", "ended": "committed"}.items() <= logs[-1].items()
    store.fail_next(0, StoreDown())
    eventually(lambda: next(ledger.attempts(request.key)).ended == "committed", "the end", 10)


def test_an_attempt_whose_end_is_never_written_dies_by_its_lease(store: MemoryStore, clock: Clock) -> None:
    request = new_request()
    ledger = Ledger(store, lease=30, beat=0.01)
    before = set(threading.enumerate())
    outcome = drawn(request)
    with held(ledger, request) as claim:
        claim.commit(outcome)
        store.fail_next(-1, StoreDown("away"))
    eventually(lambda: set(threading.enumerate()) <= before, "the last try", 30)
    store.fail_next(0, StoreDown())
    with pytest.raises(InProgress), ledger.claim(request):
        pass
    clock.move(31)
    with held(ledger, request) as claim:
        assert claim.number == 2
        assert claim.found == outcome


def test_a_claim_that_is_swept_away_while_it_is_looked_at() -> None:
    class Swept(MemoryStore):
        def read(self, key: str, version: str | None = None, limit: int | None = None) -> None:
            del version, limit
            self.delete(key)

    store = Swept()
    request = new_request()
    store.write(layout.claim(request.key, 1), b"{}")
    with pytest.raises(InProgress), Ledger(store).claim(request):
        pass


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b'{"outcome"', b"NaN"])
@pytest.mark.parametrize("name", [layout.record, lambda key: layout.claim(key, 1)], ids=["record", "claim"])
def test_what_is_no_json_object_is_the_stores_trouble(
    store: MemoryStore, name: Callable[[str], str], body: bytes
) -> None:
    request = new_request()
    store.write(name(request.key), body)
    with pytest.raises(StoreDown, match="something else"), Ledger(store, beat=LONG).claim(request):
        pass


def test_how_an_attempt_reads(store: MemoryStore, clock: Clock) -> None:
    def read(body: bytes) -> Attempt:
        store.write("attempt", body)
        return Attempt.of(there(store, "attempt"))

    assert read(b'{"owner":"me","prompt_hash":"h"}') == Attempt("me", "h", None, counts=False, age=0)
    clock.move(7)
    assert Attempt.of(there(store, "attempt")).age == 7


@pytest.mark.parametrize(
    ("body", "state", "counts"),
    [
        (b'{"owner":"me"}', State.RUNNING, False),
        (b'{"owner":"me","ended":"committed","counts":false}', State.COMMITTED, False),
        (b'{"owner":"me","ended":"Draining","counts":false}', State.SPARED, False),
        (b'{"owner":"me","ended":"GpuLost","counts":true}', State.SPENT, True),
    ],
)
def test_what_an_attempt_means_for_the_next(
    store: MemoryStore, clock: Clock, body: bytes, state: State, *, counts: bool
) -> None:
    store.write("attempt", body)
    clock.move(30)
    assert Attempt.of(there(store, "attempt")).state(30) is state
    assert state.counts is counts
    clock.move(1)
    assert Attempt.of(there(store, "attempt")).state(30) is (State.DEAD if state is State.RUNNING else state)
    assert State.DEAD.counts
