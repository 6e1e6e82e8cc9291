"""CloudEvents over HTTP: what is read, what is refused although the SDK would take it, and what is written."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.envelope import (
    BATCH,
    FORBIDDEN,
    MAX_ATTRIBUTE,
    MAX_NESTING,
    STRUCTURED,
    Message,
    NotACloudEvent,
    decode_json,
    encode_json,
    read,
    read_batch,
    write,
)
from tests.events.values import JSON, TEXT

EVENT = {"specversion": "1.0", "id": "one", "source": "/tests", "type": "dev.darkroom.image.requested"}
DATA = {"prompt": "a red star"}
BODY = encode_json(DATA)
JSON_TYPE = {"content-type": "application/json"}
STRUCTURED_TYPE = {"content-type": STRUCTURED}
BATCH_TYPE = {"content-type": BATCH}


def binary(body: bytes = BODY, /, **attributes: str) -> Message:
    """The event in binary mode, read."""
    return read({f"ce-{name}": value for name, value in (EVENT | attributes).items()} | JSON_TYPE, body)


def structured(**members: Any) -> Message:
    """The event in structured mode, read."""
    return read(STRUCTURED_TYPE, json.dumps(EVENT | {"data": DATA} | members).encode())


def without(name: str) -> dict[str, str]:
    return {other: value for other, value in EVENT.items() if other != name}


def test_binary_event() -> None:
    message = binary(time="2026-11-24T10:00:00.5Z", subject="in/red.json", traceparent="00-a-b-01")
    assert message.data == DATA
    assert message.type == "dev.darkroom.image.requested"
    assert {name: message.attributes[name] for name in EVENT} == EVENT
    assert message.attributes["time"] == "2026-11-24T10:00:00.5Z"
    assert (message.attributes["subject"], message.attributes["traceparent"]) == ("in/red.json", "00-a-b-01")
    assert message.body == BODY


@pytest.mark.parametrize("type", ["application/cloudevents+json", "Application/CloudEvents+JSON; charset=utf-8"])
def test_structured_event(type: str) -> None:
    body = json.dumps(EVENT | {"datacontenttype": "application/json", "partitionkey": "a", "data": DATA}).encode()
    message = read({"content-type": type}, body)
    assert message.data == DATA
    assert {name: message.attributes[name] for name in EVENT} == EVENT
    assert message.attributes["partitionkey"] == "a"


def test_both_modes_read_the_same_event() -> None:
    attributes = {"time": "2026-11-24T10:00:00+01:00", "subject": "s", "correlationid": "c"}
    one, other = binary(**attributes), structured(datacontenttype="application/json", **attributes)
    assert one == other


def test_nothing_is_invented() -> None:
    assert binary().attributes == EVENT | {"datacontenttype": "application/json"}
    assert structured().attributes == EVENT
    assert read_batch(BATCH_TYPE, encode_json([EVENT])) == (Message(None, EVENT),)


@pytest.mark.parametrize("name", EVENT)
def test_missing_attribute_is_refused_and_not_invented(name: str) -> None:
    with pytest.raises(NotACloudEvent, match=name):
        read({f"ce-{other}": value for other, value in without(name).items()} | JSON_TYPE, BODY)
    with pytest.raises(NotACloudEvent, match=name):
        read(STRUCTURED_TYPE, json.dumps(without(name) | {"data": DATA}).encode())


@pytest.mark.parametrize("name", EVENT)
@pytest.mark.parametrize("value", ["", None, 1, True, ["1.0"], {"a": "1.0"}])
def test_empty_attribute_is_refused(name: str, value: object) -> None:
    with pytest.raises(NotACloudEvent, match=name):
        structured(**{name: value})
    if value == "":
        with pytest.raises(NotACloudEvent, match=name):
            binary(**{name: value})


@pytest.mark.parametrize("version", ["0.3", "2.0", "1", "1.1", "1.0 ", "1.0%20"])
def test_other_versions_are_refused(version: str) -> None:
    with pytest.raises(NotACloudEvent):
        binary(specversion=version)
    with pytest.raises(NotACloudEvent):
        structured(specversion=version)


BROKEN = {
    "cut off": b'{"prompt": ',
    "two values": b"{} {}",
    "single quotes": b"{'prompt': 1}",
    "not a number": b'{"prompt": NaN}',
    "infinity": b"[-Infinity]",
    "a number that no float holds": b"[1e999]",
    "a number with too many digits": b"[" + b"9" * 5000 + b"]",
    "not UTF-8": b'{"prompt": "\xff"}',
    "UTF-16": '{"prompt": "a"}'.encode("utf-16"),
    "a surrogate in UTF-8": b'{"prompt": "\xed\xa0\x80"}',
    "100,000 brackets": b"[" * 100_000 + b"]" * 100_000,
    "100,000 open brackets": b"[" * 100_000,
    "100,000 braces": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "spaces": b"  ",
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN)
def test_broken_json_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_json(body)
    with pytest.raises(NotACloudEvent):
        binary(body)
    with pytest.raises(NotACloudEvent):
        read(STRUCTURED_TYPE, body)
    with pytest.raises(NotACloudEvent):
        read(STRUCTURED_TYPE, json.dumps(EVENT)[:-1].encode() + b', "data": ' + body + b"}")


@pytest.mark.parametrize("body", [b"[]", b"null", b'"an event"', b"1", b"[{}]"])
def test_structured_event_is_an_object(body: bytes) -> None:
    with pytest.raises(NotACloudEvent):
        read(STRUCTURED_TYPE, body)


def test_nesting_has_one_limit_wherever_it_is_met() -> None:
    # Python's own limit depends on how deep the caller stands: what one reads, the next may refuse to write.
    def nested(depth: int) -> bytes:
        return b"[" * depth + b"]" * depth

    assert binary(nested(MAX_NESTING)).data == decode_json(nested(MAX_NESTING))
    for depth in (MAX_NESTING + 1, *range(900, 1010)):
        with pytest.raises(NotACloudEvent):
            binary(nested(depth))


def test_byte_order_mark_is_accepted() -> None:
    assert binary(b"\xef\xbb\xbf" + BODY).data == DATA
    assert read(STRUCTURED_TYPE, b"\xef\xbb\xbf" + json.dumps(EVENT | {"data": DATA}).encode()).data == DATA


def test_empty_body() -> None:
    assert binary(b"").data is None
    with pytest.raises(NotACloudEvent):
        read(STRUCTURED_TYPE, b"")
    assert read(STRUCTURED_TYPE, json.dumps(EVENT).encode()).data is None


def test_batch_is_read_in_its_order() -> None:
    events = [EVENT | {"id": str(n), "data": {"prompt": str(n)}} for n in range(3)]
    messages = read_batch({"content-type": "Application/CloudEvents-Batch+JSON; charset=utf-8"}, encode_json(events))
    assert [message.attributes["id"] for message in messages] == ["0", "1", "2"]
    assert [message.data for message in messages] == [event["data"] for event in events]
    assert messages == tuple(read(STRUCTURED_TYPE, encode_json(event)) for event in events)


def test_empty_batch_is_nothing() -> None:
    assert read_batch(BATCH_TYPE, b"[]") == ()


BAD = [*(without(name) for name in EVENT), EVENT | {"id": ""}, EVENT | {"Subject": "s"}, [EVENT], None, "event", 5]


@pytest.mark.parametrize("bad", BAD, ids=str)
@pytest.mark.parametrize("at", [0, 1, 2])
def test_one_bad_entry_refuses_the_whole_batch(bad: object, at: int) -> None:
    events: list[object] = [EVENT, EVENT]
    events.insert(at, bad)
    with pytest.raises(NotACloudEvent):
        read_batch(BATCH_TYPE, encode_json(events))


@pytest.mark.parametrize("body", [b"", b"{}", b"null", b"[", encode_json(EVENT)])
def test_batch_is_a_list(body: bytes) -> None:
    with pytest.raises(NotACloudEvent):
        read_batch(BATCH_TYPE, body)


@pytest.mark.parametrize("type", [STRUCTURED, "application/json", "application/cloudevents-batch+avro", ""])
def test_batch_is_known_by_its_type(type: str) -> None:
    with pytest.raises(NotACloudEvent):
        read_batch({"content-type": type}, b"[]")


def test_entry_may_be_as_deep_as_an_event_of_its_own() -> None:
    def event(depth: int) -> bytes:
        # One level is the event's own.
        return encode_json(EVENT)[:-1] + b',"data":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"

    assert read_batch(BATCH_TYPE, b"[" + event(MAX_NESTING) + b"]") == (read(STRUCTURED_TYPE, event(MAX_NESTING)),)
    with pytest.raises(NotACloudEvent):
        read(STRUCTURED_TYPE, event(MAX_NESTING + 1))
    with pytest.raises(NotACloudEvent):
        read_batch(BATCH_TYPE, b"[" + event(MAX_NESTING + 1) + b"]")


@pytest.mark.parametrize("headers", [{}, {f"ce-{name}": value for name, value in EVENT.items()}])
@pytest.mark.parametrize("format", ["-batch+json", "-batch+json; charset=utf-8", "", "+avro", "+protobuf"])
def test_batches_and_other_formats_are_refused(format: str, headers: dict[str, str]) -> None:
    for body in (json.dumps([EVENT | {"data": DATA}]).encode(), b"[]", b""):
        with pytest.raises(NotACloudEvent):
            read(headers | {"content-type": f"application/cloudevents{format}"}, body)


def test_stray_headers_do_not_make_a_structured_event_binary() -> None:
    stray = {"ce-id": "other", "ce-type": "other", "ce-foo": "bar"}
    message = read(STRUCTURED_TYPE | stray, json.dumps(EVENT | {"data": DATA}).encode())
    assert (message.data, message.attributes["id"], message.type) == (DATA, "one", EVENT["type"])
    assert "foo" not in message.attributes


@pytest.mark.parametrize("name", [*EVENT, "subject", "correlationid", "traceparent", "anything"])
@pytest.mark.parametrize("value", ["x" * (MAX_ATTRIBUTE + 1), "\u00e9" * (MAX_ATTRIBUTE // 2 + 1), "a\0b"])
def test_attribute_that_is_too_long_or_holds_a_nul_is_refused(name: str, value: str) -> None:
    with pytest.raises(NotACloudEvent):
        binary(**{name: value})
    with pytest.raises(NotACloudEvent):
        structured(**{name: value})


def test_attribute_may_be_as_long_as_the_limit() -> None:
    longest = "x" * MAX_ATTRIBUTE
    assert binary(correlationid=longest).attributes["correlationid"] == longest
    assert structured(correlationid=longest).attributes["correlationid"] == longest
    assert len(structured(data=longest * 100).data) == len(longest) * 100  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ("in/a%20red%20star.json", "in/a red star.json"),
        ("caf%C3%A9", "caf\u00e9"),
        ("%F0%9F%8C%9F", "\U0001f31f"),
        ("a+b", "a+b"),
        ("100%25", "100%"),
        ("%22", '"'),
        ("plain", "plain"),
        ('"quoted as of old"', "quoted as of old"),
        (r'"a \"word\" and a \\ in %41"', 'a "word" and a \\ in A'),
        ('"', '"'),
        ("caf\u00e9".encode().decode("latin-1"), "caf\u00e9"),
        ("%zz", "%zz"),
    ],
)
def test_header_values_are_percent_encoded(sent: str, meant: str) -> None:
    assert binary(subject=sent, id=sent).attributes["subject"] == meant
    assert binary(subject=sent, id=sent).attributes["id"] == meant
    assert structured(subject=sent).attributes["subject"] == sent, "in JSON nothing is percent-encoded"


@pytest.mark.parametrize("value", ["%ff", "%c0%a0", "%ed%a0%80", "caf\u00e9%41", "\u8d64", "a%00b"])
def test_identity_that_is_no_text_is_refused(value: str) -> None:
    for name in ("id", "source"):
        with pytest.raises(NotACloudEvent):
            binary(**{name: value})


@pytest.mark.parametrize(
    "value", ["prompts/%ff.json", "prompts/a%00b.json", "caf\u00e9 100%.json", "caf\u00e9%41", "?.json"]
)
def test_what_a_kafka_source_does_not_encode_is_taken_as_meant(value: str) -> None:
    # It writes a record's key as it is, in Latin-1; a file of any name must not be lost for it.
    assert binary(partitionkey=value).attributes["partitionkey"] == value
    assert binary(id="caf\u00e9").attributes["id"] == "caf\u00e9"


def as_sent(body: bytes, content_type: str | None, /, **more: str) -> Message:
    """The event in binary mode with that content type, or with none."""
    headers = {f"ce-{name}": value for name, value in (EVENT | more).items()}
    return read(headers | ({} if content_type is None else {"content-type": content_type}), body)


JSON_TYPES = ["application/json", "text/json", "Application/JSON; charset=utf-8", "x/y+json", "x/json"]


@pytest.mark.parametrize("type", [*JSON_TYPES, None, ""])
def test_data_of_a_json_type_or_of_none_is_read(type: str | None) -> None:
    assert as_sent(BODY, type).data == DATA


@pytest.mark.parametrize("body", [b"a red star", b'{"prompt": ', b"\xff\xd8", b"[" * 100_000])
def test_data_of_no_type_need_not_be_json(body: bytes) -> None:
    # A KafkaSource names no type for what it wraps.
    message = as_sent(body, None)
    assert (message.data, message.body) == (None, body)
    for json_type in JSON_TYPES:
        with pytest.raises(NotACloudEvent):
            as_sent(body, json_type)


@pytest.mark.parametrize("type", ["dev.knative.eventing.aws-s3", "dev.knative.eventing.aws-sqs"])
def test_what_an_integration_source_calls_json_need_not_be(type: str) -> None:
    message = as_sent(b"Hello from AWS S3!", "application/json", type=type)
    assert (message.data, message.body) == (None, b"Hello from AWS S3!")
    assert as_sent(BODY, "application/json", type=type).data == DATA


def test_content_type_is_said_in_one_place() -> None:
    assert as_sent(BODY, "application/json", datacontenttype="image/png").data == DATA
    assert "datacontenttype" not in as_sent(BODY, None, datacontenttype="image/png").attributes


@pytest.mark.parametrize("type", ["text/plain", "application/xml", "image/png", "application/jsonl"])
@pytest.mark.parametrize("body", [BODY, b"<a/>", b"\xff\xfe"])
def test_data_of_another_type_is_a_valid_event_without_json(type: str, body: bytes) -> None:
    headers = {f"ce-{name}": value for name, value in EVENT.items()} | {"content-type": type}
    message = read(headers, body)
    assert (message.data, message.attributes["id"], message.body) == (None, "one", body)


@pytest.mark.parametrize("text", ["<a/>", '{"prompt": "a red star"}', ""])
def test_text_in_a_structured_event_is_its_bytes(text: str) -> None:
    message = structured(data=text, datacontenttype="text/plain")
    assert (message.data, message.body) == (None, text.encode())
    message = structured(data=text, datacontenttype="application/json")
    assert (message.data, message.body) == (text, encode_json(text)), "JSON says it as a string"


def test_unset_members_of_a_structured_event_may_be_null() -> None:
    message = structured(subject=None, time=None, correlationid=None, data_base64=None, datacontenttype=None)
    assert message == structured()
    assert structured(data=None).body == b""


def test_data_in_base64() -> None:
    def sent(inner: bytes | str, **more: object) -> Message:
        text = inner if isinstance(inner, str) else base64.b64encode(inner).decode()
        return read(STRUCTURED_TYPE, json.dumps(EVENT | {"data_base64": text} | more).encode())

    assert sent(BODY).data == DATA
    long = json.dumps({"prompt": "x" * 4000}).encode()
    assert sent(long, datacontenttype="application/json").data == {"prompt": "x" * 4000}
    assert sent(b"\xff\xd8", datacontenttype="image/jpeg").data is None
    assert sent(b'{"prompt":  "a"}').body == b'{"prompt":  "a"}'
    for refused in (b"{", b"\xff", "no base64!", "e30=\n", "\u00e9"):
        with pytest.raises(NotACloudEvent):
            sent(refused, datacontenttype="application/json")
    with pytest.raises(NotACloudEvent):
        structured(data=None, data_base64=5)
    with pytest.raises(NotACloudEvent):
        sent(BODY, data=DATA)


@pytest.mark.parametrize(
    "time",
    ["yesterday", "", "2026-11-24", "2026-11-24T10:00:00", "2026-13-01T00:00:00Z", "9999-12-31T24:00:00Z", "x" * 99],
)
def test_time_that_is_none_is_refused(time: str) -> None:
    with pytest.raises(NotACloudEvent):
        binary(time=time)
    with pytest.raises(NotACloudEvent):
        structured(time=time)


@pytest.mark.parametrize(
    "time", ["2026-11-24T10:00:00.123456789Z", "2026-11-24t10:00:00z", "2026-11-24T10:00:00-08:00"]
)
def test_time_is_kept_as_it_was_sent(time: str) -> None:
    assert binary(time=time).attributes["time"] == structured(time=time).attributes["time"] == time


@pytest.mark.parametrize(("value", "text"), [(True, "true"), (False, "false"), (5, "5"), (-(2**31), "-2147483648")])
def test_typed_attributes_become_text(value: object, text: str) -> None:
    assert structured(anything=value).attributes["anything"] == text


@pytest.mark.parametrize("value", [1.5, [], ["x" * 100_000], {}, {"a": "b"}])
def test_attributes_are_scalars(value: object) -> None:
    with pytest.raises(NotACloudEvent):
        structured(correlationid=value)


@pytest.mark.parametrize("name", ["Subject", "data-x", "a_b", "caf\u00e9", "", "a\n", "\u0661"])
def test_attribute_names_are_lower_case_letters_and_digits(name: str) -> None:
    with pytest.raises(NotACloudEvent):
        structured(**{name: "x"})


def test_raw_body_has_no_type() -> None:
    assert Message(DATA).type == ""


NAMES = st.sampled_from([*EVENT, "time", "subject", "datacontenttype", "data", "data_base64", "dataschema", "", "x"])
TYPES = st.sampled_from(
    ["application/cloudevents+json", "application/cloudevents-batch+json", "application/json", "text/plain", "", ";"]
)
BODIES = (
    st.binary(max_size=40)
    | JSON.map(encode_json)
    | st.dictionaries(NAMES, JSON, max_size=3).map(lambda wrong: encode_json({**EVENT, **wrong}))
)


@given(st.dictionaries(NAMES, TEXT, max_size=3), st.booleans(), TYPES | TEXT, BODIES)
def test_whatever_arrives_is_a_message_or_no_event(wrong: dict[str, str], whole: bool, type: str, body: bytes) -> None:  # noqa: FBT001
    headers = {f"ce-{name}": value for name, value in ((EVENT if whole else {}) | wrong).items()}
    reader = read_batch if type == BATCH else lambda headers, body: (read(headers, body),)
    try:
        messages = reader(headers | {"content-type": type}, body)
    except NotACloudEvent:
        return
    for message in messages:
        assert all(message.attributes[name] for name in EVENT)
        assert all(isinstance(value, str) for value in message.attributes.values())


VALUES = TEXT.filter(lambda text: text and "\0" not in text)
LEGIBLE = VALUES.filter(lambda text: not FORBIDDEN.search(text))
ATTRIBUTES = dict.fromkeys(("id", "source", "type"), LEGIBLE) | dict.fromkeys(("subject", "partitionkey"), VALUES)


@given(st.fixed_dictionaries(ATTRIBUTES), JSON)
def test_what_is_written_is_read_again(attributes: dict[str, str], data: object) -> None:
    event = {"specversion": "1.0", **attributes, "data": data}
    headers, body = write(event)
    message = read({name.lower(): value for name, value in headers.items()}, body)
    assert {name: message.attributes[name] for name in attributes} == attributes
    assert json.dumps(message.data) == json.dumps(data)


@given(JSON)
def test_json_survives(value: object) -> None:
    body = encode_json(value)
    body.decode("utf-8")
    assert json.dumps(decode_json(body)) == json.dumps(value)


def test_text_is_written_as_itself_and_half_a_pair_as_its_escape() -> None:
    assert encode_json({"a": "caf\u00e9 \U0001f31f \\ \ud800"}) == '{"a":"caf\u00e9 \U0001f31f \\\\ \\ud800"}'.encode()
