"""What the ledger promises, as scenarios that play on any stage and raise AssertionError where it is broken."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Final

from events.outcome import failed
from events.request import Request
from function import layout
from function.bucket.images import Images
from function.errors import Busy, Draining, GpuLost, InProgress, PromptMismatch, SinkDown, StoreDown
from function.finish import File, Finished
from function.render import Model
from tests.darkroom import eventually
from tests.ledger.stage import Stage, attempts, drawn, end_with, held, new_request, refused

LEASE: Final = 1.0


def commit_and_replay(stage: Stage) -> None:
    request = new_request()
    ledger = stage.ledger(told_by="sink")
    assert ledger.outcome(request) is None
    outcome = drawn(request)
    with held(ledger, request) as claim:
        assert claim.number == 1
        assert claim.found is None
        assert claim.commit(outcome) == outcome
    stored = stage.store.read(layout.record(request.key))
    assert stored is not None
    record = json.loads(stored.body)
    assert record["outcome"] == outcome.event
    assert record["told_by"] == "sink"
    assert record["prompt_hash"] == request.prompt_hash
    assert record["request"]["prompt"] == request.received
    assert record["request"]["index"] == 3
    assert record["request"]["context"] == request.context
    for replay in (stage.ledger().outcome(request), stage.ledger().commit(request, drawn(request, 2.0))):
        assert replay == outcome
    again = stage.store.read(layout.record(request.key))
    assert again is not None
    assert again.body == stored.body


def a_running_attempt_excludes_others(stage: Stage) -> None:
    request = new_request()
    with held(stage.ledger(), request):
        for _ in range(3):
            with refused(InProgress), stage.ledger().claim(request):
                pass
        (attempt,) = attempts(stage, request)
        assert stage.ledger().alive(attempt)
        with held(stage.ledger(), new_request()):
            pass
    with held(stage.ledger(), request) as claim:
        assert claim.number == 2
        with refused(InProgress), stage.ledger().claim(request):
            pass


def a_silent_attempt_is_taken_over(stage: Stage) -> None:
    request = new_request()
    with held(stage.ledger(), request) as silent:
        stage.elapse(LEASE)
        with refused(InProgress), stage.ledger().claim(request):
            pass
        with held(stage.ledger(lease=LEASE), request) as claim:
            assert (silent.number, claim.number) == (1, 2)
            assert not claim.exhausted


def beats_keep_an_attempt_alive(stage: Stage) -> None:
    request = new_request()
    ledger = stage.ledger(lease=3, beat=0.1)
    with held(ledger, request) as claim:
        stage.elapse(3)
        eventually(lambda: ledger.alive(attempts(stage, request)[0]), "a beat", stage.patience)
        with refused(InProgress), stage.ledger(lease=3).claim(request):
            pass
        claim.commit(drawn(request))
    eventually(lambda: attempts(stage, request)[0].ended == "committed", "the end", stage.patience)


def an_end_frees_at_once(stage: Stage) -> None:
    request = new_request()
    for number, error in enumerate([StoreDown(), Draining(), GpuLost(), RuntimeError("a bug")], 1):
        assert end_with(stage.ledger(), request, error).number == number
    assert [attempt.ended for attempt in attempts(stage, request)] == ["StoreDown", "Draining", "GpuLost", "crashed"]


def only_deaths_count(stage: Stage) -> None:
    request = new_request()
    ledger = stage.ledger()
    uncounted = [StoreDown(), Draining(), SinkDown(), Busy()]
    for error in [*uncounted, GpuLost(), RuntimeError("a bug"), Draining()]:
        assert not end_with(ledger, request, error).exhausted
    with held(ledger, request) as silent:
        assert not silent.exhausted, "two deaths were enough"
        stage.elapse(LEASE)
        with held(stage.ledger(lease=LEASE), request) as claim:
            assert claim.exhausted, "three deaths were not enough"
            failure = failed(request, "/darkroom", "attempts_exhausted", "it died on every attempt")
            assert claim.commit(failure) == failure
    assert ledger.outcome(request) == failure


def an_exhausted_request_stays_so(stage: Stage) -> None:
    request = new_request()
    for _ in range(3):
        assert not end_with(stage.ledger(), request, GpuLost()).exhausted
    for _ in range(2):
        assert end_with(stage.ledger(), request, StoreDown()).exhausted


def what_was_committed_in_between_is_found(stage: Stage) -> None:
    request = new_request()
    late = stage.ledger()
    assert late.outcome(request) is None
    outcome = drawn(request)
    with held(stage.ledger(), request) as claim:
        claim.commit(outcome)
    with held(late, request) as claim:
        assert claim.found == outcome
    assert len(attempts(stage, request)) == 1, "what is committed needs no further attempt"


def what_a_dead_attempt_committed_is_found(stage: Stage) -> None:
    request = new_request()
    late = stage.ledger(lease=LEASE)
    assert late.outcome(request) is None
    with held(stage.ledger(), request) as silent:
        outcome = silent.commit(drawn(request))
        stage.elapse(LEASE)
        with held(late, request) as claim:
            assert (claim.number, claim.found) == (2, outcome)


def what_a_spared_attempt_committed_is_found(stage: Stage) -> None:
    request = new_request()
    late = stage.ledger()
    assert late.outcome(request) is None
    outcome = stage.ledger().commit(request, drawn(request))
    end_with(stage.ledger(), request, SinkDown())
    with held(late, request) as claim:
        assert (claim.number, claim.found) == (2, outcome)


def a_record_that_an_operator_deleted_may_be_made_again(stage: Stage) -> None:
    request = new_request()
    with held(stage.ledger(), request) as claim:
        claim.commit(drawn(request))
    stage.store.delete(layout.record(request.key))
    again = drawn(request, 2.0)
    with held(stage.ledger(), request) as claim:
        assert (claim.number, claim.found, claim.exhausted) == (2, None, False)
        claim.commit(again)
    assert stage.ledger().outcome(request) == again


def a_prompt_that_is_gone_has_what_is_recorded(stage: Stage) -> None:
    request = new_request()
    ledger = stage.ledger()
    assert ledger.gone(request) is None
    with held(ledger, request), refused(InProgress):
        ledger.gone(request)
    assert ledger.gone(request) is None
    outcome = ledger.commit(request, drawn(request))
    assert ledger.gone(replace(request, received=None)) == outcome


def another_prompt_meets_the_claim(stage: Stage) -> None:
    request = new_request("a red star")
    other = new_request("a blue star", request.id)
    assert request.key == other.key
    with held(stage.ledger(), request) as claim:
        with refused(PromptMismatch), stage.ledger().claim(other):
            pass
        claim.commit(drawn(request))
    with refused(PromptMismatch), stage.ledger().claim(other):
        pass
    assert len(attempts(stage, request)) == 1


def another_prompt_meets_the_record(stage: Stage) -> None:
    request = new_request("a red star")
    other = new_request("a blue star", request.id)
    outcome = stage.ledger().commit_unclaimed(request, drawn(request))
    with refused(PromptMismatch):
        stage.ledger().outcome(other)
    with refused(PromptMismatch):
        stage.ledger().commit(other, drawn(other))
    with refused(PromptMismatch), stage.ledger().claim(other):
        pass
    assert stage.ledger().outcome(request) == outcome


def a_record_without_claim_waits_for_another_prompts_claim(stage: Stage) -> None:
    request = new_request("a red star")
    other = new_request("", request.id)
    failure = failed(other, "/darkroom", "invalid_prompt", "prompt: must not be empty")
    with held(stage.ledger(), request) as claim:
        with refused(PromptMismatch):
            stage.ledger().commit_unclaimed(other, failure)
        assert stage.ledger().outcome(request) is None
        outcome = claim.commit(drawn(request))
    assert stage.ledger().outcome(request) == outcome


def a_record_without_claim_is_the_first_one(stage: Stage) -> None:
    request = new_request("")
    failure = failed(request, "/darkroom", "invalid_prompt", "prompt: must not be empty")
    later = failed(request, "/darkroom", "invalid_prompt", "the same, told otherwise")
    assert stage.ledger().commit_unclaimed(request, failure) == failure
    assert stage.ledger().commit_unclaimed(request, later) == failure
    assert attempts(stage, request) == []


def an_owner_knows_its_claim_again(stage: Stage) -> None:
    request = new_request()
    with stage.answer_lost() as store, held(stage.ledger(store=store), request) as claim:
        assert claim.number == 1
        with refused(InProgress), stage.ledger().claim(request):
            pass
    assert [attempt.ended for attempt in attempts(stage, request)] == ["committed"]


def a_lost_answer_to_the_record_changes_nothing(stage: Stage) -> None:
    request = new_request()
    outcome = drawn(request)
    with stage.answer_lost() as store:
        assert stage.ledger(store=store).commit(request, outcome) == outcome
    assert stage.ledger().outcome(request) == outcome


def the_first_record_wins(stage: Stage) -> None:
    request = new_request()
    mine, zombies = drawn(request, 1.0), drawn(request, 2.0)
    with held(stage.ledger(), request) as zombie:
        stage.elapse(LEASE)
        with held(stage.ledger(lease=LEASE), request) as claim:
            assert zombie.commit(zombies) == zombies
            assert claim.commit(mine) == zombies
    assert stage.ledger().outcome(request) == zombies


def a_zombie_comes_too_late(stage: Stage) -> None:
    request = new_request()
    mine, zombies = drawn(request, 1.0), drawn(request, 2.0)
    with held(stage.ledger(), request) as zombie:
        stage.elapse(LEASE)
        with held(stage.ledger(lease=LEASE), request) as claim:
            assert claim.commit(mine) == mine
        assert zombie.commit(zombies) == mine
    assert stage.ledger().outcome(request) == mine


def of_two_racers_one_wins(stage: Stage) -> None:
    ledgers = [stage.ledger(), stage.ledger()]
    start, finish = threading.Barrier(2), threading.Barrier(2)
    with ThreadPoolExecutor(2) as racers:
        for _ in range(20):
            request = new_request()

            def race(racer: int, request: Request = request) -> bool:
                start.wait(60)
                try:
                    with ledgers[racer].claim(request):
                        # Held until the other has tried: what is ended may be taken over.
                        finish.wait(60)
                except InProgress:
                    finish.wait(60)
                    return False
                return True

            assert sum(racers.map(race, range(2))) == 1, "not exactly one of two racers won"
            assert len(attempts(stage, request)) == 1


def finished(body: bytes, width: int, height: int, seed: int, *renditions: bytes) -> Finished:
    files = File(body, width, height), *(File(one, 8, 8, "image/webp", "webp") for one in renditions)
    return Finished(files, seed, hashlib.sha256(body).hexdigest())


def an_image_that_is_there_counts(stage: Stage) -> None:
    request = new_request()
    model = Model("modèle/shapes", "r1")
    first = Images(stage.store).keep(request, 0, finished(b"first picture", 128, 64, 2**64 - 1), model)
    assert (first.size, first.seed, first.width, first.height) == (13, 2**64 - 1, 128, 64)
    second = Images(stage.store).keep(request, 0, finished(b"second", 64, 128, 7), model)
    assert second == first
    stored = stage.store.read(first.key)
    assert stored is not None
    assert stored.body == b"first picture"
    assert stored.metadata["sha256"] == first.sha256
    other = Images(stage.store).keep(request, 1, finished(b"second", 64, 128, 7), model)
    assert other.key != first.key
    assert other.sha256 != first.sha256


def each_file_that_is_there_counts(stage: Stage) -> None:
    request, model = new_request(), Model("shapes")
    # One attempt has stored the picture, and died before its renditions.
    first = Images(stage.store).keep(request, 0, finished(b"picture", 64, 64, 1), model)
    assert first.renditions is None
    whole = Images(stage.store).keep(request, 0, finished(b"again", 32, 32, 2, b"small", b"tiny"), model)
    assert (whole.sha256, whole.seed, whole.pixels_sha256) == (first.sha256, 1, first.pixels_sha256)
    keys = [(rendition.key, rendition.size) for rendition in whole.renditions or ()]
    assert keys == [(f"images/{request.key}/0-{output}.webp", size) for output, size in ((1, 5), (2, 4))]
    assert Images(stage.store).keep(request, 0, finished(b"more", 8, 8, 3, b"other", b"others"), model) == whole


def another_prompts_image_is_refused(stage: Stage) -> None:
    request = new_request("a red star")
    other = new_request("a blue star", request.id)
    model = Model("shapes")
    kept = Images(stage.store).keep(request, 0, finished(b"red", 64, 64, 1), model)
    with refused(PromptMismatch):
        Images(stage.store).keep(other, 0, finished(b"blue", 64, 64, 1), model)
    assert Images(stage.store).keep(request, 0, finished(b"red again", 64, 64, 1), model) == kept


def a_lost_answer_to_the_image_changes_nothing(stage: Stage) -> None:
    request = new_request()
    with stage.answer_lost() as store:
        image = Images(store).keep(request, 0, finished(b"picture", 64, 64, 1), Model("shapes"))
    assert image == Images(stage.store).keep(request, 0, finished(b"another", 64, 64, 1), Model("shapes"))
    assert image.size == 7


SCENARIOS: Final[list[Callable[[Stage], None]]] = [
    commit_and_replay,
    a_running_attempt_excludes_others,
    a_silent_attempt_is_taken_over,
    beats_keep_an_attempt_alive,
    an_end_frees_at_once,
    only_deaths_count,
    an_exhausted_request_stays_so,
    what_was_committed_in_between_is_found,
    what_a_dead_attempt_committed_is_found,
    what_a_spared_attempt_committed_is_found,
    a_record_that_an_operator_deleted_may_be_made_again,
    a_prompt_that_is_gone_has_what_is_recorded,
    another_prompt_meets_the_claim,
    another_prompt_meets_the_record,
    a_record_without_claim_waits_for_another_prompts_claim,
    a_record_without_claim_is_the_first_one,
    an_owner_knows_its_claim_again,
    a_lost_answer_to_the_record_changes_nothing,
    the_first_record_wins,
    a_zombie_comes_too_late,
    of_two_racers_one_wins,
    an_image_that_is_there_counts,
    each_file_that_is_there_counts,
    another_prompts_image_is_refused,
    a_lost_answer_to_the_image_changes_nothing,
]
