"""The sweep, in memory and with times moved: what it offers, tells and clears away, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal

import pytest
from structlog.testing import capture_logs

from events.envelope import encode_json
from events.outcome import Outcome
from events.promptfile import Limits
from events.request import ObjectRef, Request, from_object
from function import layout
from function.bucket.files import PromptFiles
from function.commands.status import describe
from function.errors import DarkroomError, SinkDown, SinkRefused, StoreDown
from function.ledger import Ledger
from function.ledger.records import Record
from function.store import Stored, check_store
from function.telling import PublicUrls, Telling
from function.telling.sweep import Listing, Sweep
from tests.fakes import Clock, MemoryStore, RecordingSink
from tests.intake.room import drawn

MINUTE: Final = 60.0
DAY: Final = 86_400.0
HORIZON: Final = 7 * DAY


class Reads(MemoryStore):
    """A store that keeps which records were read."""

    def __init__(self, bucket: str, clock: Clock) -> None:
        super().__init__(bucket, clock)
        self.records: list[str] = []

    def read(self, key: str, version: str | None = None, limit: int | None = None) -> Stored | None:
        if key.startswith(layout.RECORDS):
            self.records.append(key)
        return super().read(key, version, limit)


class Choosy(RecordingSink):
    """A sink that refuses the outcomes of some requests, by their ids."""

    def __init__(self) -> None:
        super().__init__()
        self.refused: set[str] = set()

    def tell(self, event: Mapping[str, Any]) -> None:
        if event["causationid"] in self.refused:
            raise SinkRefused("the sink answered 400")
        super().tell(event)


@dataclass
class Room:
    """A prompt bucket, an image bucket and a sweep over both, whose clock is now but when objects are dated back."""

    clock: Clock = field(default_factory=Clock)
    sink: Choosy = field(default_factory=Choosy)
    offered: list[ObjectRef] = field(default_factory=list)
    done: set[str] = field(default_factory=set)
    trouble: dict[str, DarkroomError] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.prompts = MemoryStore("prompts", self.clock)
        self.images = Reads("images", self.clock)
        self.sweep = self.sweeping(self.sink)

    def sweeping(self, sink: RecordingSink | None) -> Sweep:
        stores = {"prompts": self.prompts, "images": self.images}
        files = PromptFiles(stores, image_bucket="images", prefix="in/", suffix=".json", limits=Limits())
        telling = Telling(self.images, PublicUrls("https://pictures.example"), sink)
        return Sweep(self.images, files, telling, self.offer, horizon=HORIZON)

    def offer(self, ref: ObjectRef, _listing: Listing) -> bool:
        self.offered.append(ref)
        if ref.key in self.trouble:
            raise self.trouble[ref.key]
        return ref.key in self.done

    def ago(self, seconds: float) -> None:
        """Date what is written from now on so many seconds back."""
        self.clock.time = datetime.now(UTC)
        self.clock.move(-seconds)

    def record(self, name: str, ago: float, told_by: Literal["reply", "sink"] = "sink") -> Request:
        """A request whose outcome was recorded so many seconds ago."""
        ref = ObjectRef("prompts", f"in/{name}.json", etag="0" * 32)
        request = from_object(ref, 2, {"prompt": f"a {name}"})
        self.ago(ago)
        Ledger(self.images, told_by=told_by).commit(request, drawn(request))
        return request

    def claim(self, key: str, attempt: int, ago: float) -> None:
        self.ago(ago)
        self.images.write(layout.claim(key, attempt), b"{}")

    def claims(self) -> list[str]:
        return [listed.key for listed in self.images.list(layout.CLAIMS)]

    def drop(self, key: str, ago: float = 0, body: bytes = b"{}", store: MemoryStore | None = None) -> None:
        self.ago(ago)
        (store or self.prompts).write(key, body)

    def swept(self, postponed: int = 0) -> list[str]:
        """Sweep once, with so many things postponed: the keys of the objects that this offered."""
        self.offered.clear()
        assert self.sweep() == postponed
        return [ref.key for ref in self.offered]


@pytest.fixture
def room() -> Room:
    return Room()


def test_every_young_object_is_offered(room: Room) -> None:
    room.drop("in/new.json", body=b"new")
    room.drop("in/deep/old.json", ago=HORIZON - MINUTE)
    assert room.swept() == ["in/deep/old.json", "in/new.json"]
    (new,) = [ref for ref in room.offered if ref.key == "in/new.json"]
    stored = room.prompts.read("in/new.json")
    assert stored is not None
    assert new == ObjectRef("prompts", "in/new.json", etag=stored.etag, size=3)


def test_what_is_over_the_horizon_is_left_alone(room: Room) -> None:
    room.drop("in/ancient.json", ago=HORIZON + MINUTE)
    request = room.record("ancient", ago=HORIZON + MINUTE)
    assert room.swept() == []
    assert room.sink.told == []
    assert room.images.read(layout.told(request.key)) is None


def test_what_is_no_prompt_file_is_not_offered(room: Room) -> None:
    for key in ("out/a.json", "in/a.txt", "in/folder.json/"):
        room.drop(key)
    room.record("star", ago=0)
    room.drop("in/in-the-image-bucket.json", store=room.images)
    assert room.swept() == ["in/in-the-image-bucket.json"]


def test_what_is_done_is_not_offered_again(room: Room) -> None:
    room.drop("in/done.json")
    room.drop("in/open.json")
    room.done = {"in/done.json"}
    assert room.swept() == ["in/done.json", "in/open.json"]
    for _ in range(2):
        assert room.swept() == ["in/open.json"]
    room.done.add("in/open.json")
    assert room.swept() == ["in/open.json"]
    assert room.swept() == []


def test_a_replaced_object_is_offered_as_new(room: Room) -> None:
    room.drop("in/file.json", body=b"first")
    room.done = {"in/file.json"}
    room.swept()
    assert room.swept() == []
    room.drop("in/file.json", body=b"second")
    assert room.swept() == ["in/file.json"]


def test_an_untold_record_is_told_as_it_was_recorded(room: Room) -> None:
    request = room.record("star", ago=2 * MINUTE)
    room.sweep()
    recorded = Ledger(room.images).outcome(request)
    assert recorded is not None
    (event,) = room.sink.told
    url = f"https://pictures.example/{layout.image(request.key, 0)}"
    assert event == recorded.with_urls(lambda *_: {"url": url})
    assert room.images.read(layout.told(request.key)) is not None
    assert room.images.read("results/prompts/in/star.json.2.json") is not None
    room.sweep()
    assert len(room.sink.told) == 1


def test_a_young_record_is_left_to_its_writer(room: Room) -> None:
    room.record("star", ago=MINUTE / 2)
    room.sweep()
    assert room.sink.told == []


def test_a_told_record_is_not_told_again(room: Room) -> None:
    request = room.record("star", ago=2 * MINUTE)
    room.images.write(layout.told(request.key), b"{}")
    room.sweep()
    assert room.sink.told == []


def test_what_was_told_as_a_reply_is_not_the_sinks_and_read_once(room: Room) -> None:
    told = room.record("star", ago=2 * MINUTE, told_by="reply")
    untold = room.record("moon", ago=2 * MINUTE)
    room.sweep()
    assert [event["causationid"] for event in room.sink.told] == [untold.id]
    assert sorted(room.images.records) == sorted(layout.record(one.key) for one in (told, untold))
    room.images.records.clear()
    room.sweep()
    assert room.images.records == []


def test_without_a_sink_nothing_is_told(room: Room) -> None:
    request = room.record("star", ago=2 * MINUTE)
    room.sweeping(None)()
    assert room.images.read("results/prompts/in/star.json.2.json") is None
    assert room.images.read(layout.told(request.key)) is None


def test_a_sink_that_is_down_is_told_at_the_next_sweep(room: Room) -> None:
    request = room.record("star", ago=2 * MINUTE)
    other = room.record("moon", ago=2 * MINUTE)
    room.sink.down = True
    with capture_logs() as logs:
        assert room.sweep() == 1
    assert [row["error"] for row in logs if row["event"] == "sweep.postponed"] == ["the sink does not answer"]
    assert room.images.read(layout.told(request.key)) is None
    room.sink.down = False
    assert room.sweep() == 0
    assert {event["causationid"] for event in room.sink.told} == {request.id, other.id}


def test_an_object_that_finds_no_sink_ends_the_announcing(room: Room) -> None:
    for name in "ab":
        room.drop(f"in/{name}.json")
    room.trouble = {"in/a.json": SinkDown("the sink does not answer")}
    with capture_logs():
        assert room.swept(postponed=1) == ["in/a.json"]


def test_an_outcome_that_the_sink_refuses_keeps_no_other_from_being_told(room: Room) -> None:
    first, second = sorted((room.record(name, ago=2 * MINUTE) for name in ("star", "moon")), key=lambda one: one.key)
    room.sink.refused = {first.id}
    with capture_logs() as logs:
        assert room.sweep() == 1
    assert [row["error"] for row in logs if row["event"] == "sweep.postponed"] == ["the sink answered 400"]
    assert [event["causationid"] for event in room.sink.told] == [second.id]
    assert room.images.read(layout.told(first.key)) is None


def test_a_bucket_that_is_away_keeps_no_other_from_being_swept(room: Room) -> None:
    room.drop("in/file.json")
    room.drop("in/other.json", store=room.images)
    untold = room.record("star", ago=2 * MINUTE)
    room.prompts.fail_next(1, StoreDown("away"))
    with capture_logs() as logs:
        assert room.swept(postponed=1) == ["in/other.json"]
    assert [event["causationid"] for event in room.sink.told] == [untold.id]
    assert [row["error"] for row in logs if row["event"] == "sweep.postponed"] == ["away"]
    assert room.swept() == ["in/file.json", "in/other.json"]


def test_an_object_that_cannot_be_offered_keeps_no_other_from_being_offered(room: Room) -> None:
    for name in "abc":
        room.drop(f"in/{name}.json")
    room.trouble = {"in/a.json": SinkRefused("the sink answered 413"), "in/b.json": StoreDown("away")}
    room.done = {"in/c.json"}
    with capture_logs() as logs:
        assert room.swept(postponed=2) == ["in/a.json", "in/b.json", "in/c.json"]
    assert [row["what"] for row in logs if row["event"] == "sweep.postponed"] == ["in/a.json", "in/b.json"]
    room.trouble = {}
    assert room.swept() == ["in/a.json", "in/b.json"], "postponed before, and not counted again"


def imageless() -> bytes:
    request = from_object(ObjectRef("prompts", "in/imageless.json", etag="0" * 32), 0, {"prompt": "a picture"})
    drew = drawn(request)
    broken = Outcome({**drew.event, "data": {**drew.event["data"], "images": [{}]}})
    return Record(request, request.prompt_hash, "sink", broken).encode()


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"told_by": "sink"}', b'{"version": 2}', imageless()])
def test_a_record_that_cannot_be_read_keeps_no_other_from_being_told(room: Room, body: bytes) -> None:
    room.ago(2 * MINUTE)
    room.images.write(layout.record("0" * 64), body)
    untold = room.record("star", ago=2 * MINUTE)
    with capture_logs():
        assert room.sweep() == 1
    assert [event["causationid"] for event in room.sink.told] == [untold.id]


def test_old_claims_go_when_there_is_a_record(room: Room) -> None:
    recorded = room.record("star", ago=2 * DAY, told_by="reply").key
    for attempt in (1, 2):
        room.claim(recorded, attempt, ago=DAY + MINUTE)
    room.claim(recorded, 3, ago=DAY - MINUTE)
    room.claim("without-record", 1, ago=30 * DAY)
    room.sweep()
    assert room.claims() == [layout.claim(recorded, 3), layout.claim("without-record", 1)]
    assert room.images.read(layout.record(recorded)) is not None


def test_claims_go_without_a_sink_too(room: Room) -> None:
    recorded = room.record("star", ago=2 * DAY).key
    room.claim(recorded, 1, ago=2 * DAY)
    room.sweeping(None)()
    assert room.claims() == []


def test_what_a_killed_check_of_the_store_left_goes_after_a_day(room: Room) -> None:
    old, young = (f"{check_store.PREFIX}{n}/first" for n in range(2))
    room.drop(old, ago=DAY + MINUTE, store=room.images)
    room.drop(young, ago=DAY - MINUTE, store=room.images)
    room.sweep()
    assert room.claims() == [young]


@pytest.mark.parametrize(
    ("ago", "marked", "said"),
    [
        (HORIZON - MINUTE, True, "to the sink"),
        (HORIZON + MINUTE, True, "to the sink"),
        (HORIZON - MINUTE, False, "not yet; the sweep or a redelivery tells it"),
        (
            HORIZON + MINUTE,
            False,
            "not known any more, it is older than DARKROOM_HORIZON; a redelivery tells it again",
        ),
    ],
)
def test_status_promises_no_telling_that_the_sweep_does_not_do(
    room: Room, ago: float, said: str, *, marked: bool
) -> None:
    request = room.record("star", ago=ago)
    if marked:
        room.images.write(layout.told(request.key), b"{}")
    room.ago(0)
    lines = describe(request.key, Ledger(room.images), lambda _: room.prompts, horizon=HORIZON)
    assert [line for line in lines if line.startswith("  told ")] == [f"  told     {said}"]


def test_a_record_reads_back_as_it_was_written() -> None:
    deep: Any = "deep"
    for _ in range(64):
        deep = [deep]
    ref = ObjectRef("prompts", "in/\ud800.json", etag="0" * 32, size=3)
    for request in (
        from_object(ref, 2, {"prompt": "a star"}),
        Request("/tests", "1", deep, context={"tracestate": "t"}),
    ):
        record = Record(request, request.prompt_hash, "reply", drawn(request))
        assert Record.decode(record.encode()) == record


def test_a_record_of_a_newer_version_says_so() -> None:
    with pytest.raises(StoreDown, match="newer version of Darkroom"):
        Record.decode(encode_json({"version": 2, "request": "of another shape"}))


def test_claims_are_cleared_at_the_first_sweep_and_not_at_each(room: Room) -> None:
    recorded = room.record("star", ago=2 * DAY).key
    room.images.write(layout.told(recorded), b"{}")
    for sweep, left in ((room.sweep, 0), (room.sweep, 1), (room.sweeping(room.sink), 0)):
        room.claim(recorded, 1, ago=2 * DAY)
        assert sweep() == 0
        assert len(room.claims()) == left


def test_claims_that_could_not_be_cleared_are_at_the_next_sweep(room: Room) -> None:
    recorded = room.record("star", ago=2 * DAY).key
    room.claim(recorded, 1, ago=2 * DAY)
    sweep = room.sweeping(None)
    room.images.fail_next(2, StoreDown("away"))
    with capture_logs():
        assert sweep() == 2, "the bucket's objects and its claims"
    assert len(room.claims()) == 1
    assert sweep() == 0
    assert room.claims() == []
