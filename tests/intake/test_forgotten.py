"""The sweep in front of a broker, in memory and with times moved: which files it announces again, and which never."""

from __future__ import annotations

from typing import Final

import pytest
from structlog.testing import capture_logs

from events import IMAGE_FAILED, PROMPTS_DROPPED
from events.request import ObjectRef
from function import layout
from function.errors import SinkDown, StoreDown
from function.telling import progress
from function.telling.forgotten import Forgotten
from function.telling.sweep import Sweep
from tests.intake.room import Room, WatchedSink

MINUTE: Final = 60.0
HOUR: Final = 3600.0
DAY: Final = 86_400.0
PROMPTS: Final = [{"prompt": f"star {number}"} for number in range(3)]


@pytest.fixture
def room() -> Room:
    return Room()


def sweep_of(room: Room) -> Sweep:
    offer = Forgotten(room.files, room.images, room.sink, forgotten_after=10 * MINUTE, republish_after=2 * HOUR)
    return Sweep(room.images, room.files, room.telling, offer, horizon=7 * DAY)


def announced(room: Room, sweep: Sweep | None = None) -> list[str]:
    """Sweep once: the keys of the objects that were announced."""
    before = len(room.sink.told)
    assert (sweep or sweep_of(room))() == 0
    events = room.sink.told[before:]
    assert {event["type"] for event in events} <= {PROMPTS_DROPPED}
    return [event["data"]["object"]["key"] for event in events]


def dropped(room: Room, key: str, ago: float) -> ObjectRef:
    room.ago(ago)
    return room.drop(key, PROMPTS)


def looked_at(room: Room, ref: ObjectRef, ago: float, *, done: bool) -> None:
    """Note that the expander saw the file so many seconds ago."""
    room.ago(ago)
    progress.write(room.images, ref, 3, done=done)
    room.ago(0)


def test_what_nobody_has_read_is_announced_when_its_time_is_over(room: Room) -> None:
    dropped(room, "in/young.jsonl", ago=9 * MINUTE)
    dropped(room, "in/ancient.jsonl", ago=7 * DAY + MINUTE)
    dropped(room, "out/of/sight.jsonl", ago=DAY)
    assert announced(room) == []
    unread = [dropped(room, f"in/{name}.jsonl", ago) for name, ago in (("late", 11 * MINUTE), ("later", 6 * DAY))]
    assert announced(room) == [ref.key for ref in unread]
    assert [event["id"] for event in room.sink.told] == [ref.file_id for ref in unread], "as by every other route"
    assert announced(room) == [], "a second sweep right after leaves it to the broker"
    for ref in unread:
        looked_at(room, ref, ago=3 * HOUR, done=False)
    assert announced(room) == [ref.key for ref in unread], "until somebody reads it"


def test_what_is_announced_the_expander_takes_and_the_next_sweep_leaves(room: Room) -> None:
    ref = dropped(room, "in/late.jsonl", ago=HOUR)
    room.ago(0)
    assert announced(room) == [ref.key]
    assert room.post(room.sink.told[0]) == 202
    assert len(room.requested) == 3
    assert announced(room) == []


@pytest.mark.parametrize("before", [None, 3 * HOUR])
def test_what_is_read_while_it_is_announced_stays_as_its_reader_left_it(before: float | None) -> None:
    sink = WatchedSink()
    room = Room(sink=sink)
    ref = dropped(room, "in/late.jsonl", ago=DAY)
    if before:
        looked_at(room, ref, ago=before, done=False)
    room.ago(0)
    room.draw(ref, dict(enumerate(PROMPTS)))
    sink.then[1] = lambda: assert_taken(room.announce(ref))
    assert announced(room) == [ref.key]
    seen = room.progress(ref)
    assert seen is not None
    assert (seen.count, seen.done) == (3, True)
    assert announced(room) == []


def assert_taken(status: int) -> None:
    assert status == 202


def test_what_was_published_and_is_not_done_is_announced_after_the_retries(room: Room) -> None:
    fresh, stale = (dropped(room, f"in/{name}.jsonl", ago=DAY) for name in ("fresh", "stale"))
    looked_at(room, fresh, ago=2 * HOUR - MINUTE, done=False)
    looked_at(room, stale, ago=2 * HOUR + MINUTE, done=False)
    assert announced(room) == [stale.key]


def test_what_is_done_is_never_announced_nor_looked_at_again(room: Room) -> None:
    ref = dropped(room, "in/done.jsonl", ago=5 * DAY)
    looked_at(room, ref, ago=4 * DAY, done=True)
    sweep = sweep_of(room)
    assert announced(room, sweep) == []
    room.images.delete(layout.file(ref.file_key))
    assert announced(room, sweep) == []
    assert announced(room) == [ref.key]


def test_what_was_replaced_since_is_another_file(room: Room) -> None:
    old = dropped(room, "in/file.jsonl", ago=DAY)
    looked_at(room, old, ago=DAY, done=True)
    room.ago(HOUR)
    new = room.drop("in/file.jsonl", PROMPTS[:1])
    assert announced(room) == [new.key]
    assert room.sink.told[-1]["id"] == new.file_id != old.file_id


def test_the_current_version_is_announced() -> None:
    room = Room(versioned=True)
    old, new = (dropped(room, "in/file.jsonl", ago=HOUR) for _ in range(2))
    assert old.etag == new.etag
    looked_at(room, old, ago=MINUTE, done=True)
    assert announced(room) == [new.key]
    (event,) = room.sink.told
    assert event["id"] == new.file_id
    assert event["data"]["object"]["version"] == new.version != old.version
    looked_at(room, new, ago=MINUTE, done=True)
    assert announced(room) == []


def test_one_files_trouble_is_counted_and_keeps_no_other_from_being_announced(room: Room) -> None:
    refs = [dropped(room, f"in/{name}.jsonl", ago=HOUR) for name in "abc"]
    room.images.fail_next(1, StoreDown("away"))
    with capture_logs() as logs:
        assert sweep_of(room)() == 1
    assert [(row["what"], row["error"]) for row in logs if row["event"] == "sweep.postponed"] == [(refs[0].key, "away")]
    assert [event["data"]["object"]["key"] for event in room.sink.told] == [ref.key for ref in refs[1:]]
    room.images.write(layout.file(refs[1].file_key), b"{")
    assert sweep_of(room)() == 0
    assert [event["data"]["object"]["key"] for event in room.sink.told[2:]] == [refs[0].key, refs[1].key]


def test_a_sink_that_is_down_is_told_at_the_next_sweep(room: Room) -> None:
    refs = [dropped(room, f"in/{name}.jsonl", ago=HOUR) for name in "ab"]
    room.sink.down = True
    with capture_logs():
        assert sweep_of(room)() == 1, "each of thousands would wait for it anew"
    room.sink.down = False
    assert announced(room) == [ref.key for ref in refs]


def test_what_intake_could_not_tell_is_made_good(room: Room) -> None:
    room.ago(HOUR)
    ref = room.drop("in/bad.jsonl", [{"prompt": ""}, *PROMPTS])
    room.sink.down = True
    with pytest.raises(SinkDown):
        room.announce(ref)
    assert room.records() == 1
    room.sink.down = False
    room.ago(0)
    assert sweep_of(room)() == 0
    assert [event["type"] for event in room.sink.told] == [PROMPTS_DROPPED, IMAGE_FAILED]
    assert room.post(room.sink.told[0]) == 202
    assert len(room.requested) == 3
    assert len(room.failed) == 1
    assert announced(room) == []


def test_what_is_done_while_it_is_announced_stays_done_however_slow_the_sweep() -> None:
    sink = WatchedSink()
    room = Room(sink=sink)
    ref = dropped(room, "in/late.jsonl", ago=DAY)
    looked_at(room, ref, ago=3 * HOUR, done=False)
    room.draw(ref, dict(enumerate(PROMPTS)))

    def read_and_slept() -> None:
        assert_taken(room.announce(ref))
        room.clock.move(3 * HOUR)

    sink.then[1] = read_and_slept
    assert announced(room) == [ref.key]
    seen = room.progress(ref)
    assert seen is not None
    assert seen.done
