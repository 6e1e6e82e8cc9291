"""Dialects: what each takes for its own, what it makes of it, and what it leaves alone."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import IMAGE_COMPLETED, IMAGE_REQUESTED, PROMPTS_DROPPED, asking
from events.dialects import Carried, Dropped, Found, Nothing, Prompted, read
from events.dialects.direct import plain
from events.envelope import MAX_ATTRIBUTE, Message, NotACloudEvent, encode_json, write
from events.envelope import read as read_event
from events.prompt import Prompt
from events.request import COPIED, ObjectRef, Request, from_object
from tests.events.samples import CASES, case

EVENT = {"specversion": "1.0", "id": "one", "source": "/tests", "type": "com.example.s3"}
PROMPT = {"prompt": "a red star"}


def refs_of(found: Found) -> list[ObjectRef]:
    """The objects that were found."""
    assert isinstance(found, Dropped | Nothing)
    return list(found.objects) if isinstance(found, Dropped) else []


def test_one_message_may_tell_of_several_objects() -> None:
    (message,) = case("aws", "two records, and a third of a folder")["messages"]
    assert [ref.key for ref in refs_of(read(Message(message)))] == ["one.json", "caf\u00e9.json"], "in their order"


def s3(key: object, name: object = "ObjectCreated:Put", bucket: object = "prompts", **more: object) -> Message:
    return Message(
        {"Records": [{"eventName": name, "s3": {"bucket": {"name": bucket}, "object": {"key": key} | more}}]}
    )


@pytest.mark.parametrize(
    "message",
    [
        s3(""),
        s3("folder/"),
        s3("folder%2F"),
        s3("a.json", bucket=""),
        s3("a.json", bucket=5),
        s3(None),
        s3(5),
        s3(["a.json"]),
        s3("a.json", name=None),
        s3("a.json", name="s3:ObjectCreated:PutTagging"),
        s3("a.json", name="s3:ObjectCreated:PutRetention"),
        s3("a.json", name="s3:ObjectCreated:PutLegalHold"),
        s3("a.json", name="s3:ObjectCreated:*"),
        s3("a.json", name="s3:ObjectAccessed:Get"),
        Message({"Records": [{"s3": None}, {"s3": []}, {"s3": {"bucket": "b", "object": {"key": "k"}}}]}),
        Message({"Records": [{"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "b"}, "object": "k"}}]}),
    ],
)
def test_s3_records_without_a_new_object_are_nothing(message: Message) -> None:
    assert isinstance(read(message), Nothing)


def test_s3_record_with_odd_members_still_names_its_object() -> None:
    found = read(s3("a.json", versionId=5, eTag=["e"], size="24"))
    assert found == Dropped((ObjectRef("prompts", "a.json"),))


@pytest.mark.parametrize(("source", "key"), [("aws:s3", "a b+"), ("ceph:s3", "a+b%2B"), (None, "a b+"), (5, "a b+")])
def test_only_ceph_writes_keys_as_they_are(source: object, key: str) -> None:
    whole: Any = s3("a+b%2B").data
    whole["Records"][0]["eventSource"] = source
    for data in (whole, whole["Records"][0]):
        assert read(Message(data)) == Dropped((ObjectRef("prompts", key, size=0),))


def test_key_that_is_no_utf8_is_kept_apart_from_every_other() -> None:
    (one,), (other,) = (refs_of(read(s3(key))) for key in ("%ff.json", "%fe.json"))
    assert one.file_key != other.file_key


@pytest.mark.parametrize("missing", ["s3", "eventName"])
def test_half_a_record_is_nothing(missing: str) -> None:
    record: Any = {"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "b"}, "object": {"key": "k"}}}
    del record[missing]
    assert isinstance(read(Message(record)), Nothing)


def bridge(**detail: object) -> Message:
    return Message({"source": "aws.s3", "detail-type": "Object Created", "detail": detail})


@pytest.mark.parametrize(
    "message",
    [
        bridge(),
        bridge(bucket={"name": "b"}),
        bridge(bucket={"name": "b"}, object={}),
        bridge(bucket={"name": ""}, object={"key": "k"}),
        bridge(bucket={"name": "b"}, object={"key": ""}),
        bridge(bucket={"name": "b"}, object={"key": 5}),
        bridge(bucket={"name": "b"}, object={"key": "folder/"}),
        bridge(bucket={"name": 5}, object={"key": "k"}),
        bridge(bucket="b", object="k"),
        bridge(bucket=[], object=[]),
        Message({"source": "aws.s3", "detail-type": "Object Created", "detail": None}),
        Message({"source": "aws.s3", "detail-type": ["Object Created"], "detail": {}}),
        Message({"detail-type": "Object Created", "detail": {"bucket": {"name": "b"}, "object": {"key": "k"}}}),
    ],
)
def test_bridged_events_without_a_new_object_are_nothing(message: Message) -> None:
    assert isinstance(read(message), Nothing)


def test_bridged_event_with_odd_members_still_names_its_object() -> None:
    odd = {"key": "a+b%2B", "version-id": 5, "etag": [], "size": "24"}
    assert read(bridge(bucket={"name": "b"}, object=odd)) == Dropped((ObjectRef("b", "a+b%2B"),))


def queued(body: object) -> dict[str, object]:
    return {"MessageId": "1", "Body": body if isinstance(body, str) else json.dumps(body)}


def notified(body: object) -> dict[str, object]:
    return {"Type": "Notification", "TopicArn": "arn", "Message": json.dumps(body)}


def test_envelopes_are_opened_as_deep_as_they_are_used() -> None:
    inner: object = s3("a.json").data
    for depth in range(1, 9):
        inner = queued(inner) if depth % 2 else notified(inner)
        assert bool(refs_of(read(Message(inner)))) == (depth <= 5), depth


@pytest.mark.parametrize(
    "data",
    [
        queued("{"),
        queued("[" * 100_000),
        queued('{"prompt": NaN}'),
        queued([s3("a.json").data]),
        queued(PROMPT),
        queued("\ud800"),
        {"MessageId": "1", "Body": s3("a.json").data},
        {"Type": "Notification", "TopicArn": "arn"},
        {"Type": "SubscriptionConfirmation", "TopicArn": "arn", "Message": json.dumps(s3("a.json").data)},
        {"Type": ["Notification"], "TopicArn": "arn", "Message": json.dumps(s3("a.json").data)},
        {"Records": [{"eventSource": "aws:sqs"}, {"eventSource": "aws:sqs", "body": 5}]},
        {"Records": [{"eventSource": "aws:sqs", "body": json.dumps(s3("a.json").data)}, {"eventSource": "aws:s3"}]},
        {"Records": [{"eventSource": "aws:sqs", "body": json.dumps(s3("a.json").data)}, 5]},
    ],
)
def test_envelopes_without_a_notification_are_nothing(data: object) -> None:
    assert isinstance(read(Message(data)), Nothing)


def filer(kind: str, key: object, **change: object) -> Message:
    return Message({"event_type": kind, "key": key, "message": change})


FILE = {"name": "a.json", "attributes": {"file_size": 24, "mtime": 1}, "extended": {"Seaweed-X-Amz-ETag": "ZQ=="}}


@pytest.mark.parametrize(
    "message",
    [
        filer("create", "/buckets/prompts", new_entry=FILE),
        filer("create", "/buckets/", new_entry=FILE),
        filer("create", "/etc/a.json", new_entry=FILE),
        filer("create", 5, new_entry=FILE),
        filer("create", "/buckets/prompts/a.json"),
        filer("create", "/buckets/prompts/a", new_entry=FILE | {"is_directory": True}),
        filer("create", "/buckets/prompts/.uploads/4d2c/0001.part", new_entry=FILE),
        filer("create", "/buckets/.system/owners/prompts", new_entry=FILE),
        filer("delete", "/buckets/prompts/a.json", old_entry=FILE),
        filer("rename", "/buckets/prompts/a.json", new_entry=FILE, new_parent_path="/trash"),
        filer("rename", "/buckets/prompts/a.json", new_entry=FILE),
        filer("update", "/buckets/prompts/a.json", new_entry=FILE, old_entry=FILE),
        filer("update", "/buckets/prompts/a.json", new_entry=FILE | {"chunks": [5]}, old_entry=FILE | {"chunks": [5]}),
        Message({"event_type": "create", "key": "/buckets/prompts/a.json", "message": None}),
        Message({"event_type": ["create"], "key": "/buckets/prompts/a.json", "message": {"new_entry": FILE}}),
    ],
)
def test_filer_events_without_a_new_object_are_nothing(message: Message) -> None:
    assert isinstance(read(message), Nothing)


@pytest.mark.parametrize("extended", [None, [], {}, {"Seaweed-X-Amz-ETag": 5}, {"Seaweed-X-Amz-ETag": "no base64!"}])
def test_filer_event_without_a_readable_etag_names_its_object(extended: object) -> None:
    found = read(filer("create", "/buckets/prompts/a.json", new_entry=FILE | {"extended": extended}))
    assert found == Dropped((ObjectRef("prompts", "a.json", size=24),))


def test_name_that_only_looks_like_a_version_is_kept() -> None:
    found = read(filer("create", "/buckets/prompts/a.json.versions/v_1", new_entry=FILE))
    assert found == Dropped((ObjectRef("prompts", "a.json.versions/v_1", etag="e", size=24),))


@pytest.mark.parametrize("key", ["in/.uploads/a.json", ".uploads", "uploads/a.json", ".hidden/a.json"])
def test_name_that_only_looks_like_a_part_is_kept(key: str) -> None:
    found = read(filer("create", f"/buckets/prompts/{key}", new_entry=FILE))
    assert found == Dropped((ObjectRef("prompts", key, etag="e", size=24),))


def test_short_file_written_again_within_a_second_is_found() -> None:
    # The filer may keep short content inside the entry, without a chunk.
    other = FILE | {"extended": {"Seaweed-X-Amz-ETag": "Zg=="}}
    found = read(filer("update", "/buckets/prompts/a.json", new_entry=other, old_entry=FILE))
    assert found == Dropped((ObjectRef("prompts", "a.json", etag="f", size=24),))


@pytest.mark.parametrize(
    "data",
    [
        None,
        True,
        5,
        "a",
        [],
        [PROMPT],
        {},
        {"hello": "world"},
        PROMPT,
        {"Records": 5},
        {"Records": [5]},
        {"Event": "x"},
    ],
)
@pytest.mark.parametrize("attributes", [{}, EVENT, EVENT | {"type": IMAGE_COMPLETED}])
def test_what_no_dialect_knows_is_nothing(data: object, attributes: dict[str, str]) -> None:
    assert isinstance(read(Message(data, attributes)), Nothing)


def test_own_request_carries_its_prompt() -> None:
    context = {name: f"a {name}" for name in COPIED}
    found = read(Message(PROMPT, EVENT | context | {"type": IMAGE_REQUESTED, "subject": "s"}))
    assert isinstance(found, Prompted)
    request = found.request
    assert (request.source, request.id, request.received) == ("/tests", "one", PROMPT)
    assert request.context == context
    assert request.object is None


@pytest.mark.parametrize("data", [None, [], "a", {"Records": []}, {"Event": "s3:TestEvent"}, {"prmopt": "a"}])
def test_own_request_is_one_whatever_its_data(data: object) -> None:
    # A bad prompt is the renderer's to refuse, with all its faults.
    found = read(Message(data, EVENT | {"type": IMAGE_REQUESTED}))
    assert isinstance(found, Prompted)
    assert found.request.received == data


def test_own_request_that_is_broken_json_is_refused_where_nothing_else_is_said_of_it() -> None:
    own, body = EVENT | {"type": IMAGE_REQUESTED}, b'{"prompt": '
    with pytest.raises(NotACloudEvent):
        read(Message(None, own, body))
    assert isinstance(read(Message(None, own | {"datacontenttype": "text/plain"}, body)), Prompted)


REF = ObjectRef("prompts", "in/red.json", "v1", "e", 24)


def requested(ref: ObjectRef, index: int, data: object, /, **attributes: str) -> Any:
    """The request that is read from an event with the identity of prompt `index` of `ref`."""
    derived = from_object(ref, index, None)
    own = {"source": derived.source, "id": derived.id, "type": IMAGE_REQUESTED, "batchindex": str(index)}
    found = read(Message(data, EVENT | own | attributes))
    assert isinstance(found, Prompted)
    return found.request


@pytest.mark.parametrize(
    "ref", [REF, ObjectRef("prompts", "in/red.json", etag="e"), ObjectRef("b", "caf\u00e9 +%41\n")]
)
@pytest.mark.parametrize("index", [0, 7])
def test_own_request_of_a_file_names_its_object(ref: ObjectRef, index: int) -> None:
    data = PROMPT | {"object": ref.as_data()}
    assert requested(ref, index, data, correlationid="c") == replace(
        from_object(ref, index, PROMPT), context={"correlationid": "c"}
    )
    assert data["object"] == ref.as_data(), "what was read is left as it was"


def test_own_retry_of_a_file_names_its_object() -> None:
    data, retry = PROMPT | {"object": REF.as_data()}, from_object(REF, 7, PROMPT).retried(3)
    assert requested(REF, 7, data, id=retry.id, retry="3") == retry
    for number in ("2", "0", "", "-3", "9" * 1500):
        assert requested(REF, 7, data, id=retry.id, retry=number).object is None
    assert requested(REF, 7, data, retry="3").object is None
    assert requested(REF, 7, data, retry="0").object == REF


@pytest.mark.parametrize(
    ("ref", "attributes"),
    [
        (replace(REF, key="in/blue.json"), {}),
        (replace(REF, bucket="others"), {}),
        (replace(REF, version="v2"), {}),
        (REF, {"source": "s3://others"}),
        (REF, {"id": "one"}),
        *((REF, {"batchindex": index}) for index in ("1", "", "-0", "0x0", "\u0660", "9" * 1500)),
    ],
)
def test_object_that_the_identity_does_not_belong_to_is_no_more_than_a_field(
    ref: ObjectRef, attributes: dict[str, str]
) -> None:
    data = PROMPT | {"object": ref.as_data()}
    request = requested(REF, 0, data, **attributes)
    assert (request.object, request.index, request.received) == (None, 0, data)


@pytest.mark.parametrize("named", [None, "in/red.json", [], {}, {"bucket": "prompts"}, {"bucket": 5, "key": "k"}])
def test_object_that_names_none_is_no_more_than_a_field(named: object) -> None:
    data = PROMPT | {"object": named}
    assert requested(REF, 0, data).received == data


S3_SOURCE = EVENT | {"type": "dev.knative.eventing.aws-s3", "correlationid": "c"}
KAFKA_SOURCE = EVENT | {"type": "dev.knative.kafka.event", "time": "2026-11-24T10:00:00.1Z", "partitionkey": "k"}


@pytest.mark.parametrize("received", [PROMPT, [PROMPT], [], {}, 5, "a", None, s3("a.json").data])
@pytest.mark.parametrize("data", [None, PROMPT])
def test_object_that_an_integration_source_read_is_carried_whatever_it_holds(received: object, data: object) -> None:
    # A misspelt prompt is to fail in words; nothing but the bytes counts.
    found = read(Message(data, S3_SOURCE, encode_json(received)))
    assert found == Carried("/tests", "one", received, {"correlationid": "c"})


@pytest.mark.parametrize("body", [b"", b"a red star", b"\xff\xd8", b'{"prompt": ', b"prompt,seed\na,1\n"])
def test_object_that_an_integration_source_read_is_to_fail_in_words_if_it_is_not_json(body: bytes) -> None:
    # The source has deleted it: what is said of it is all that is left.
    assert read(Message(None, S3_SOURCE, body)) == Carried("/tests", "one", None, {"correlationid": "c"})


@pytest.mark.parametrize(
    "data", [PROMPT, [PROMPT], [], [5], {"prompts": []}, {"prompts": 5, "defaults": {}}, {"seed": 1}]
)
def test_kafka_record_that_looks_like_prompts_is_carried(data: object) -> None:
    body = json.dumps(data).encode()
    found = read(Message(data, KAFKA_SOURCE, body))
    id_ = hashlib.sha256(b"one\0" + b"2026-11-24T10:00:00.1Z\0" + body).hexdigest()
    assert found == Carried("/tests", id_, data, {"partitionkey": "k"})


@pytest.mark.parametrize("data", [None, 5, True, "a red star", {}, {"msg": "a"}, {"Prompt": "a"}, {"defaults": PROMPT}])
def test_kafka_record_that_looks_like_no_prompt_is_nothing(data: object) -> None:
    assert isinstance(read(Message(data, KAFKA_SOURCE, b"x")), Nothing)


def test_kafka_record_is_another_request_by_its_id_its_time_and_its_bytes() -> None:
    messages = [
        Message(PROMPT, KAFKA_SOURCE, b"x"),
        Message(PROMPT, KAFKA_SOURCE | {"id": "two"}, b"x"),
        Message(PROMPT, KAFKA_SOURCE | {"time": "2026-11-24T10:00:00.2Z"}, b"x"),
        Message(PROMPT, KAFKA_SOURCE, b"x "),
        Message(PROMPT, {name: value for name, value in KAFKA_SOURCE.items() if name != "time"}, b"x"),
    ]
    founds = [read(message) for message in messages]
    assert len({found.id for found in founds if isinstance(found, Carried)}) == len(messages)


def test_dropped_prompts_name_their_object() -> None:
    ref = ObjectRef("prompts", "in/red.json", "v1", "e", 24)
    for each in (ref, ObjectRef("prompts", "in/red.json")):
        found = read(Message({"object": each.as_data()}, EVENT | {"type": PROMPTS_DROPPED}))
        assert found == Dropped((each,))
    odd = {"bucket": "prompts", "key": "in/red.json", "version": 5, "etag": ["e"], "size": "24"}
    assert read(Message({"object": odd}, EVENT | {"type": PROMPTS_DROPPED})) == Dropped(
        (ObjectRef("prompts", "in/red.json"),)
    )


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {"object": None},
        {"object": "a"},
        {"object": {}},
        {"object": {"bucket": "b"}},
        {"object": {"key": "k"}},
    ]
    + [{"object": {"bucket": b, "key": k}} for b, k in [("", "k"), ("b", ""), (5, "k"), ("b", None), (["b"], "k")]],
)
def test_dropped_prompts_without_an_object_are_refused(data: object) -> None:
    with pytest.raises(NotACloudEvent):
        read(Message(data, EVENT | {"type": PROMPTS_DROPPED}))


@pytest.mark.parametrize("field", Prompt.model_fields)
def test_plain_prompt_is_known_by_any_of_its_fields(field: str) -> None:
    data = {field: None, "stpes": 3}
    request = plain(data, "a-key")
    assert request is not None
    assert (request.source, request.id, request.received) == ("/drop", "a-key", data)


@pytest.mark.parametrize("data", [None, 5, "a red star", [], [5], ["a"], {}, {"Prompt": "a"}, {"Records": [PROMPT]}])
def test_what_has_no_field_of_a_prompt_is_no_plain_prompt(data: object) -> None:
    assert plain(data, "a-key") is None


@pytest.mark.parametrize("server", CASES)
def test_no_notification_is_a_plain_prompt(server: str) -> None:
    notifications = [message for each in CASES[server] if "carried" not in each for message in each["messages"]]
    assert all(plain(message, None) is None for message in notifications)


def test_plain_prompt_without_a_key_is_a_new_request_each_time() -> None:
    ids = [carried.id for key in (None, None, "") if (carried := plain(PROMPT, key))]
    assert len(set(ids)) == 3


@pytest.mark.parametrize("data", [[PROMPT], [5, PROMPT], {"prompts": []}, {"matrix": {"prompt": ["a"]}}])
def test_what_a_prompt_file_would_hold_is_a_plain_prompt_and_a_kafka_record_alike(data: object) -> None:
    carried = plain(data, "a-key")
    assert carried is not None
    assert carried.received == data
    wrapped = Message(data, EVENT | {"type": "dev.knative.kafka.event"}, encode_json(data))
    assert isinstance(read(wrapped), Carried)


@given(st.text(min_size=1, max_size=50).map(lambda text: text.encode().decode("latin-1")))
def test_whatever_the_idempotency_key_the_request_can_be_published_and_read(sent: str) -> None:
    carried = plain(PROMPT, sent)
    assert carried is not None
    request = Request(carried.source, carried.id, PROMPT)
    headers, body = write(asking.requested(request, asking.Batch(request.key, 1)))
    found = read(read_event({name.lower(): value for name, value in headers.items()}, body))
    assert isinstance(found, Prompted)
    assert found.request.key == request.key


@pytest.mark.parametrize("letter", ["k", "\u00e9", "\u8d64", "\U0001f31f"])
def test_idempotency_key_of_as_many_bytes_as_an_attribute_is_the_id_and_a_longer_one_its_hash(letter: str) -> None:
    longest = letter * (MAX_ATTRIBUTE // len(letter.encode()))
    ids = [request.id for more in ("", "k", "kk") if (request := plain(PROMPT, longest + more))]
    assert ids == [longest, *(hashlib.sha256((longest + more).encode()).hexdigest() for more in ("k", "kk"))]
