"""Intake in memory: what its doors publish, skip, tell and refuse, and how far each file has come."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any

import pytest

from events import IMAGE_REQUESTED, PROMPTS_DROPPED
from events.request import ObjectRef, from_message, from_object, key_of
from function import layout
from function.errors import Busy, Draining, NotAnEvent, SinkDown, StoreDown
from function.telling import progress
from tests.darkroom import eventually
from tests.fakes import RecordingSink
from tests.intake.room import Room, WatchedSink

PROMPTS = [{"prompt": f"star {number}"} for number in range(10)]
JSON = {"content-type": "application/json"}


@pytest.fixture
def room() -> Room:
    return Room()


def ids(events: list[dict[str, Any]]) -> list[str]:
    return [event["id"] for event in events]


def derived(ref: ObjectRef, count: int) -> list[str]:
    return [from_object(ref, index, None).id for index in range(count)]


def down() -> None:
    raise SinkDown("the sink does not answer")


# The expander: files


def test_each_prompt_of_a_file_is_requested(room: Room) -> None:
    ref = room.drop("in/stars.jsonl", PROMPTS)
    assert room.announce(ref, traceparent="00-1-2-01") == 202
    assert len(room.sink.told) == len(room.requested) == len(PROMPTS)
    for index, event in enumerate(room.requested):
        request = from_object(ref, index, PROMPTS[index])
        assert {name: event.pop(name) for name in ("dataschema", "time")}
        assert event == {
            "specversion": "1.0",
            "type": IMAGE_REQUESTED,
            "source": "s3://prompts",
            "id": request.id,
            "subject": "prompts/in/stars.jsonl",
            "datacontenttype": "application/json",
            "batchid": ref.file_key,
            "batchindex": index,
            "batchsize": len(PROMPTS),
            "partitionkey": request.key,
            "traceparent": "00-1-2-01",
            "data": PROMPTS[index] | {"object": ref.as_data()},
        }
    assert room.records() == 0
    seen = room.progress(ref)
    assert seen is not None
    assert (seen.count, seen.done) == (10, False)


def test_what_is_requested_names_what_was_read(room: Room) -> None:
    """Whoever announces a file need not know its content, and may know an older one."""
    ref = room.drop("in/stars.jsonl", PROMPTS)
    for named in (ObjectRef("prompts", ref.key), ObjectRef("prompts", ref.key, etag="0" * 32)):
        room.announce(named)
        assert ids(room.requested) == derived(ref, 10)
        room.sink.told.clear()


def test_a_version_is_read_where_one_is_named() -> None:
    room = Room(versioned=True)
    old = room.drop("in/stars.jsonl", PROMPTS[:3])
    new = room.drop("in/stars.jsonl", PROMPTS)
    room.announce(old)
    assert ids(room.requested) == derived(old, 3)
    assert {event["data"]["object"]["version"] for event in room.requested} == {old.version}
    room.sink.told.clear()
    room.announce(ObjectRef("prompts", old.key))
    assert ids(room.requested) == derived(new, 10)


def test_what_is_recorded_is_not_requested_again_but_its_result_is_written(room: Room) -> None:
    ref = room.drop("in/stars.jsonl", PROMPTS)
    room.draw(ref, {3: PROMPTS[3], 7: PROMPTS[7]})
    assert room.announce(ref) == 202
    assert [event["batchindex"] for event in room.requested] == [0, 1, 2, 4, 5, 6, 8, 9]
    assert {event["batchsize"] for event in room.requested} == {10}
    assert len(room.sink.told) == 8, "render has told what it has recorded"
    results = [room.result(ref, index) for index in range(10)]
    assert [index for index, result in enumerate(results) if result] == [3, 7]
    assert results[7] is not None
    assert results[7]["causationid"] == from_object(ref, 7, None).id
    assert results[7]["data"]["images"][0]["url"].startswith("https://pictures.example/images/")
    seen = room.progress(ref)
    assert seen is not None
    assert not seen.done


def test_a_file_is_done_when_all_is_recorded(room: Room) -> None:
    ref = room.drop("in/stars.jsonl", PROMPTS)
    room.draw(ref, dict(enumerate(PROMPTS[:9])))
    room.announce(ref)
    assert len(room.requested) == 1
    room.draw(ref, {9: PROMPTS[9]})
    room.sink.told.clear()
    assert room.announce(ref) == 202
    assert room.sink.told == []
    assert room.progress(ref) == progress.Progress(10, done=True, age=0)
    assert room.result(ref, 9)


def test_of_a_file_that_is_done_nothing_is_looked_at(room: Room) -> None:
    ref = room.drop("in/stars.jsonl", PROMPTS)
    room.draw(ref, dict(enumerate(PROMPTS)))
    room.announce(ref)
    for index in range(10):
        room.images.delete(f"records/{from_object(ref, index, None).key}.json")
        room.images.delete(f"results/prompts/in/stars.jsonl.{index}.json")
    assert room.announce(ref) == 202
    assert room.sink.told == []
    assert room.result(ref, 0) is None


def test_a_prompt_that_another_holds_the_key_of_is_settled(room: Room) -> None:
    ref = room.drop("in/stars.jsonl", PROMPTS)
    room.draw(ref, dict(enumerate([*PROMPTS[:9], {"prompt": "another one"}])))
    assert room.announce(ref) == 202
    (event,) = room.sink.told
    assert (event["data"]["code"], event["causationid"]) == ("prompt_mismatch", from_object(ref, 9, None).id)
    assert room.records() == 10
    seen = room.progress(ref)
    assert seen is not None
    assert seen.done


def test_an_invalid_prompt_is_told_and_recorded_once(room: Room) -> None:
    ref = room.drop("in/stars.jsonl", [PROMPTS[0], {"prompt": "", "width": 7}, PROMPTS[2]])
    for deliveries in (1, 2):
        assert room.announce(ref) == 202
        assert [event["batchindex"] for event in room.requested] == sorted([0, 2] * deliveries)
        assert room.records() == 1
    (first,) = room.failed
    assert first["causationid"] == from_object(ref, 1, None).id
    assert first["data"]["code"] == "invalid_prompt"
    assert [fault["where"] for fault in first["data"]["faults"]] == ["line 2, prompt", "line 2, width"]
    assert room.result(ref, 1) == first
    assert room.images.read(f"told/{from_object(ref, 1, None).key}")


def test_a_file_of_invalid_prompts_is_done_at_once(room: Room) -> None:
    ref = room.drop("in/bad.jsonl", [{"prompt": ""}, 7])
    room.announce(ref)
    assert len(room.failed) == len(room.sink.told) == 2
    seen = room.progress(ref)
    assert seen is not None
    assert (seen.count, seen.done) == (2, True)


def test_a_file_that_cannot_be_read_is_its_own_failure(room: Room) -> None:
    ref = room.drop("in/bad.json", b'{"prompt": ')
    assert room.announce(ref) == 202
    (event,) = room.sink.told
    assert event["data"]["code"] == "invalid_prompt_file"
    assert room.result(ref, 0) == event
    seen = room.progress(ref)
    assert seen is not None
    assert (seen.count, seen.done) == (1, True)
    room.announce(ref)
    assert len(room.sink.told) == 1


def test_a_file_that_is_gone_is_told_and_not_recorded(room: Room) -> None:
    gone = ObjectRef("prompts", "in/gone.json", etag="0" * 32)
    assert room.announce(gone) == 202
    (event,) = room.sink.told
    assert (event["data"]["code"], event["causationid"]) == ("object_gone", from_object(gone, 0, None).id)
    assert room.records() == 0
    assert room.announce(ObjectRef("prompts", "in/gone.json")) == 202
    assert len(room.sink.told) == 1, "nobody can say which content was gone"


def test_of_a_file_that_is_gone_after_it_was_published_nothing_is_told(room: Room) -> None:
    ref = room.drop("in/stars.jsonl", PROMPTS)
    room.announce(ref)
    room.prompts.delete(ref.key)
    sent = len(room.sink.told)
    assert room.announce(ref) == 202
    assert len(room.sink.told) == sent


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"done": true}', b"\xff"])
def test_a_progress_that_cannot_be_read_is_none(room: Room, body: bytes) -> None:
    ref = room.drop("in/stars.jsonl", PROMPTS)
    room.images.write(layout.file(ref.file_key), body)
    assert room.announce(ref) == 202
    assert len(room.requested) == 10
    assert room.progress(ref) is not None


def test_one_objects_trouble_keeps_no_other_of_its_message_from_being_read() -> None:
    room = Room(sink=(sink := WatchedSink()))
    sink.then[1] = down
    with pytest.raises(SinkDown):
        drop(room, created("in/a.json", "in/b.json", "in/b.json"))
    assert [event["data"]["object"]["key"] for event in sink.told] == ["in/b.json"], "and once"


def test_a_strangers_batchid_makes_no_request_its_own(room: Room) -> None:
    assert room.post(room.event(IMAGE_REQUESTED, PROMPTS[0], id="one", batchid="my-night-job")) == 202
    assert [event["id"] for event in room.requested] == ["one"]


@pytest.mark.parametrize("fails_at", [1, 5, 10])
def test_a_sink_that_fails_in_the_middle_is_asked_again_for_the_same(fails_at: int) -> None:
    room = Room(sink=(sink := WatchedSink()))
    ref = room.drop("in/stars.jsonl", PROMPTS)
    sink.then[fails_at] = down
    with pytest.raises(SinkDown):
        room.announce(ref)
    assert room.progress(ref) is None
    before = room.requested
    assert len(before) < 10
    sink.told.clear()
    assert room.announce(ref) == 202
    assert ids(room.requested) == derived(ref, 10)
    assert set(ids(before)) < set(ids(room.requested))
    seen = room.progress(ref)
    assert seen is not None
    assert seen.count == 10


def test_a_store_that_fails_in_the_middle_leaves_no_mark() -> None:
    room = Room(sink=(sink := WatchedSink()))
    ref = room.drop("in/stars.jsonl", PROMPTS)
    sink.then[3] = lambda: room.images.fail_next(1, StoreDown("away"))
    with pytest.raises(StoreDown):
        room.announce(ref)
    assert room.progress(ref) is None


def test_a_shutdown_in_the_middle_leaves_the_rest_to_the_redelivery() -> None:
    room = Room(sink=(sink := WatchedSink()), at_once=2)
    ref = room.drop("in/stars.jsonl", PROMPTS)
    sink.then[3] = room.health.drain
    with pytest.raises(Draining):
        room.announce(ref)
    # What was under way when the signal came is finished.
    assert 3 <= len(sink.told) <= 5
    assert room.progress(ref) is None
    again = Room(sink=RecordingSink())
    again.drop("in/stars.jsonl", PROMPTS)
    again.announce(ref)
    assert set(ids(room.requested)) < set(ids(again.requested))


def test_so_many_are_published_at_once_and_no_more() -> None:
    meeting, lock, inside, most = threading.Barrier(4), threading.Lock(), 0, 0

    class Meeting(RecordingSink):
        def tell(self, event: Mapping[str, Any]) -> None:
            nonlocal inside, most
            with lock:
                inside += 1
                most = max(most, inside)
            meeting.wait(60)
            super().tell(event)
            with lock:
                inside -= 1

    room = Room(sink=Meeting(), at_once=4)
    room.announce(room.drop("in/stars.jsonl", PROMPTS[:8]))
    assert (len(room.requested), most) == (8, 4)


def test_nothing_overtakes_a_request_by_more_than_that() -> None:
    seen: list[int] = []

    class Held(RecordingSink):
        def tell(self, event: Mapping[str, Any]) -> None:
            if event["batchindex"] == 0:
                eventually(lambda: len(self.told) == 3, "the three requests beside the first")
                # Time for a fourth, which must not come.
                threading.Event().wait(0.2)
                seen.append(len(self.told))
            super().tell(event)

    room = Room(sink=Held(), at_once=4)
    room.announce(room.drop("in/stars.jsonl", PROMPTS))
    assert seen == [3]
    assert len(room.requested) == 10


def test_a_file_that_finds_too_many_others_is_sent_again_and_a_single_prompt_waits_for_none(room: Room) -> None:
    ref = room.drop("in/stars.jsonl", PROMPTS)
    with room.slots.take():
        with pytest.raises(Busy):
            room.announce(ref)
        with pytest.raises(Busy):
            drop(room, PROMPTS)
        assert drop(room, PROMPTS[0]) == 202
    assert room.announce(ref) == 202
    assert len(room.requested) == 11


# The expander: messages that carry prompts, and requests


def test_one_carried_prompt_keeps_the_identity_of_its_message(room: Room) -> None:
    for _ in range(2):
        assert room.post(room.event("dev.knative.eventing.aws-s3", PROMPTS[0], id="7", correlationid="c")) == 202
    first, again = room.requested
    assert first | {"time": again["time"]} == again
    key = key_of("/tests", "7")
    assert (first["source"], first["id"], first["data"]) == ("/tests", "7", PROMPTS[0])
    assert (first["batchid"], first["batchindex"], first["batchsize"]) == (key, 0, 1)
    assert (first["partitionkey"], first["correlationid"]) == (key, "c")


def test_several_carried_prompts_have_an_identity_each(room: Room) -> None:
    message = room.event("dev.knative.eventing.aws-s3", [PROMPTS[0], {"prompt": ""}, PROMPTS[2]], id="7")
    assert room.post(message) == 202
    made = [from_message("/tests", "7", index, 3, None).id for index in range(3)]
    assert ids(room.requested) == [made[0], made[2]]
    assert [event["batchindex"] for event in room.requested] == [0, 2]
    assert {(event["batchid"], event["batchsize"]) for event in room.requested} == {(key_of("/tests", "7"), 3)}
    (failure,) = room.failed
    assert failure["causationid"] == made[1]
    assert room.post(message) == 202
    assert ids(room.requested) == [made[0], made[0], made[2], made[2]]


def test_its_own_requests_are_ignored(room: Room) -> None:
    ref = room.drop("in/stars.jsonl", PROMPTS)
    room.announce(ref)
    published = room.requested
    room.sink.told.clear()
    assert {room.post(event) for event in published} == {204}
    assert room.sink.told == []


def test_a_foreign_request_is_published_on_as_it_is(room: Room) -> None:
    assert room.post(room.event(IMAGE_REQUESTED, PROMPTS[0], id="7", partitionkey="mine", tracestate="t")) == 202
    (event,) = room.sink.told
    assert (event["source"], event["id"], event["data"]) == ("/tests", "7", PROMPTS[0])
    assert (event["batchid"], event["batchindex"], event["batchsize"]) == (key_of("/tests", "7"), 0, 1)
    assert (event["partitionkey"], event["tracestate"]) == ("mine", "t")
    assert room.post(event) == 204, "what was published on is not published on for ever"


def test_a_foreign_request_that_is_invalid_fails_at_once(room: Room) -> None:
    assert room.post(room.event(IMAGE_REQUESTED, {"prompt": "", "object": {"bucket": "b", "key": "k"}}, id="7")) == 202
    (event,) = room.sink.told
    assert (event["causationid"], event["data"]["code"]) == ("7", "invalid_prompt")
    assert sorted(fault["where"] for fault in event["data"]["faults"]) == ["object", "prompt"]
    assert room.records() == 1


def test_a_batch_is_taken_as_a_whole(room: Room) -> None:
    batch = "application/cloudevents-batch+json"
    ref = room.drop("in/stars.jsonl", PROMPTS[:2])
    dropped = room.event(PROMPTS_DROPPED, {"object": ref.as_data()})
    foreign = room.event(IMAGE_REQUESTED, PROMPTS[5], id="7")
    with pytest.raises(NotAnEvent):
        room.post([dropped, foreign, {"specversion": "1.0"}], batch)
    assert room.sink.told == []
    assert room.post([dropped, foreign, room.event("boson.fn", {})], batch) == 202
    assert sorted(ids(room.requested)) == sorted([*derived(ref, 2), "7"])
    assert room.post([room.event("boson.fn", {})], batch) == 204
    assert room.post([], batch) == 204


# The door


def drop(room: Room, body: object, **headers: str) -> int:
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    return room.intake.drop(JSON | headers, sent).status_code


def created(*keys: str, bucket: str = "prompts", **found: str) -> dict[str, Any]:
    """MinIO's notification, as a webhook POSTs it."""
    return {
        "Records": [
            {
                "eventName": "s3:ObjectCreated:Put",
                "s3": {"bucket": {"name": bucket}, "object": {"key": key, "eTag": "1" * 32, "size": 9} | found},
            }
            for key in keys
        ]
    }


def test_the_door_announces_each_object_and_reads_none(room: Room) -> None:
    room.prompts.fail_next(-1, StoreDown("away"))
    room.images.fail_next(-1, StoreDown("away"))
    for _ in range(2):
        assert drop(room, created("in/a+b.json", "in/c.json", "out/of/sight.json")) == 202
    refs = [ObjectRef("prompts", key, etag="1" * 32, size=9) for key in ("in/a b.json", "in/c.json")]
    assert ids(room.sink.told) == [ref.file_id for ref in refs] * 2
    assert {(event["type"], event["source"]) for event in room.sink.told} == {(PROMPTS_DROPPED, "s3://prompts")}
    assert room.sink.told[0]["subject"] == "prompts/in/a b.json"
    assert room.sink.told[0]["data"] == {"object": refs[0].as_data()}


def test_what_the_door_announces_the_expander_takes(room: Room) -> None:
    ref = room.drop("in/a b.jsonl", PROMPTS)
    assert drop(room, created("in/a+b.jsonl", eTag=str(ref.etag))) == 202
    assert room.post(room.sink.told[0]) == 202
    assert ids(room.requested) == derived(ref, 10)


def test_a_plain_prompt_at_the_door_is_requested(room: Room) -> None:
    for _ in range(2):
        assert drop(room, PROMPTS[0], **{"idempotency-key": "mine"}) == 202
    assert {(event["source"], event["id"], json.dumps(event["data"])) for event in room.requested} == {
        ("/drop", "mine", json.dumps(PROMPTS[0]))
    }
    for _ in range(2):
        assert drop(room, PROMPTS[0]) == 202
    assert len({event["id"] for event in room.requested}) == 3


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"7",
        b'{"hello": "world"}',
        created("in/a.json", bucket="others"),
        created("in/folder/"),
        created("in/../a.json"),
        {"Event": "s3:TestEvent"},
    ],
)
def test_what_asks_for_nothing_is_accepted_in_silence(room: Room, body: object) -> None:
    assert drop(room, body) == 204
    assert room.sink.told == []


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000])
def test_what_cannot_be_read_is_nothing_that_a_store_should_repeat(room: Room, body: bytes) -> None:
    with pytest.raises(NotAnEvent) as refused:
        drop(room, body)
    assert refused.value.drop_status == 204
    assert room.sink.told == []


def test_the_door_says_yes_only_when_the_sink_has_it(room: Room) -> None:
    room.sink.down = True
    with pytest.raises(SinkDown):
        drop(room, created("in/a.json"))
    room.health.drain()
    room.sink.down = False
    with pytest.raises(Draining):
        drop(room, created("in/a.json"))
    assert room.sink.told == []
