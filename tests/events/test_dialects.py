"""Dialects: every message that a server was seen to send is understood, and no other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import IMAGE_COMPLETED, IMAGE_REQUESTED, PROMPTS_DROPPED
from events.dialects import Dropped, Found, Nothing, Prompted, read
from events.dialects.direct import plain
from events.envelope import MAX_ATTRIBUTE, Message, NotACloudEvent
from events.prompt import Prompt
from events.request import COPIED, ObjectRef, from_object
from tests.events.values import JSON, TEXT

SAMPLES = Path(__file__).parent / "samples"
SERVERS = ("minio", "seaweedfs", "aws")
CASES: dict[str, dict[str, dict[str, Any]]] = {
    server: {case["what"]: case for case in json.loads((SAMPLES / f"{server}.json").read_text("ascii"))}
    for server in SERVERS
}
ALL = [pytest.param(case, id=f"{server}: {what}") for server in SERVERS for what, case in CASES[server].items()]

EVENT = {"specversion": "1.0", "id": "one", "source": "/tests", "type": "com.example.s3"}
PROMPT = {"prompt": "a red star"}


def refs_of(found: Found) -> list[ObjectRef]:
    """The objects that were found."""
    assert not isinstance(found, Prompted)
    return list(found.objects) if isinstance(found, Dropped) else []


def refs_in(case: dict[str, Any]) -> list[ObjectRef]:
    """The objects that its messages tell of, in the order of their keys, which servers do not keep."""
    refs = [ref for message in case["messages"] for ref in refs_of(read(Message(message)))]
    return sorted(refs, key=lambda ref: ref.key)


def shown(case: dict[str, Any]) -> list[ObjectRef]:
    """The objects that the case created, as a listing shows them, etag in quotes."""
    return sorted((ObjectRef(**created) for created in case["created"]), key=lambda ref: ref.key)


@pytest.mark.parametrize("case", ALL)
def test_exactly_what_was_created_is_found(case: dict[str, Any]) -> None:
    # Bucket, key, version, etag and size, all as the server's S3 API shows them.
    assert refs_in(case) == shown(case)


@pytest.mark.parametrize("case", ALL)
def test_notification_and_listing_lead_to_the_same_key(case: dict[str, Any]) -> None:
    told = [from_object(ref, 0, PROMPT).key for ref in refs_in(case)]
    listed = [from_object(ref, 0, PROMPT).key for ref in shown(case)]
    assert told == listed
    assert len(set(told)) == len(told)


@pytest.mark.parametrize("case", ALL)
def test_carried_by_a_cloudevent_it_says_the_same(case: dict[str, Any]) -> None:
    for message in case["messages"]:
        assert read(Message(message, EVENT)) == read(Message(message))


@pytest.mark.parametrize("server", ["minio", "seaweedfs"])
def test_samples_hold_what_is_hard(server: str) -> None:
    keys = [ref.key for case in CASES[server].values() for ref in shown(case)]
    for part in (" ", "+", "%41", "/", "&", "\n", "caf\u00e9", "cafe\u0301", "\u2028", "\U0001f31f"):
        assert any(part in key for key in keys), part
    assert max(len(key.encode()) for key in keys) >= 900
    nothing = {what for what, case in CASES[server].items() if case["messages"] and not case["created"]}
    assert nothing >= {"a folder", "new tags", "no tags any more", "new tags without content", "a removal"}
    assert nothing >= {"a delete marker"}


@pytest.mark.parametrize("server", ["minio", "seaweedfs"])
def test_versions_of_one_object_are_told_apart(server: str) -> None:
    cases = [CASES[server][what] for what in ("a first version", "a second version", "versions suspended")]
    first, second, suspended = (refs_in(case)[0] for case in cases)
    assert first.key == second.key == suspended.key
    assert first.version
    assert second.version
    assert first.version != second.version
    assert suspended.version is None, 'servers say "null"'
    assert suspended.etag == first.etag, "the same content"
    assert len({ref.file_key for ref in (first, second, suspended)}) == 3


def test_one_message_may_tell_of_several_objects() -> None:
    (message,) = CASES["aws"]["two records, and a third of a folder"]["messages"]
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


@pytest.mark.parametrize("data", [None, 5, "a red star", [], [PROMPT], {}, {"Prompt": "a"}, {"Records": [PROMPT]}])
def test_what_has_no_field_of_a_prompt_is_no_plain_prompt(data: object) -> None:
    assert plain(data, "a-key") is None


@pytest.mark.parametrize("server", SERVERS)
def test_no_notification_is_a_plain_prompt(server: str) -> None:
    assert all(plain(message, None) is None for case in CASES[server].values() for message in case["messages"])


def test_plain_prompt_without_a_key_is_a_new_request_each_time() -> None:
    keys = [request.key for key in (None, None, "") if (request := plain(PROMPT, key))]
    assert len(set(keys)) == 3


def test_idempotency_key_as_long_as_an_attribute_is_the_id_and_a_longer_one_its_hash() -> None:
    longest, longer = (plain(PROMPT, "k" * length) for length in (MAX_ATTRIBUTE, MAX_ATTRIBUTE + 1))
    other = plain(PROMPT, "k" * (MAX_ATTRIBUTE + 2))
    assert longest is not None
    assert longest.id == "k" * MAX_ATTRIBUTE
    assert longer is not None
    assert len(longer.id) == 64
    assert other is not None
    assert other.id != longer.id


WORDS = [
    *("Records", "s3", "bucket", "object", "name", "key", "eventName", "versionId", "eTag", "size", "Event"),
    *("event_type", "message", "new_entry", "old_entry", "new_parent_path", "is_directory", "extended", "attributes"),
    *("chunks", "fid", "file_size", "mtime", "Seaweed-X-Amz-ETag", "Seaweed-X-Amz-Version-Id", "prompt"),
]
LIKELY = st.sampled_from(
    ["ObjectCreated:Put", "create", "update", "rename", "/buckets/b/k.json", "/buckets/", "%", "e=="]
)
MADE_UP = st.recursive(
    JSON | LIKELY,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS) | TEXT, inner, max_size=5),
    max_leaves=20,
)


def mutated(value: Any, luck: Any) -> Any:
    """A copy in which one thing, somewhere, is something else or gone."""
    if isinstance(value, dict) and value and luck.random() < 0.9:
        name = luck.choice(list(value))
        rest = {other: inner for other, inner in value.items() if other != name}
        return rest if luck.random() < 0.1 else rest | {name: mutated(value[name], luck)}
    if isinstance(value, list) and value and luck.random() < 0.9:
        return [mutated(value[0], luck), *value[1:]]
    return luck.choice([None, True, -1, 1e300, "", "%ff", "\ud800", [], {}, [[]], {"": None}])


SEEN = [message for server in SERVERS for case in CASES[server].values() for message in case["messages"]]
TYPES = st.sampled_from([None, "com.example.s3", IMAGE_REQUESTED, PROMPTS_DROPPED])


def check(data: object, type: str | None) -> None:
    """Whatever is read is found, or refused in the one way that callers expect."""
    try:
        found = read(Message(data, EVENT | {"type": type} if type else {}))
    except NotACloudEvent:
        assert type == PROMPTS_DROPPED
        return
    if isinstance(found, Dropped):
        assert all(ref.bucket and ref.key and ref.file_key for ref in found.objects)
    plain(data, None)


@given(MADE_UP, TYPES)
def test_anything_is_found_or_nothing(data: object, type: str | None) -> None:
    check(data, type)


@given(st.sampled_from(SEEN), st.randoms(use_true_random=False), TYPES)
def test_damaged_message_is_found_or_nothing(message: Any, luck: Any, type: str | None) -> None:
    check(mutated(message, luck), type)
