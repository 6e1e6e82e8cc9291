"""CloudEvents over HTTP: what is read, what is refused although the SDK would take it, and what is written."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.envelope import MAX_ATTRIBUTE, MAX_NESTING, Message, NotACloudEvent, decode_json, encode_json, read, write
from tests.events.values import JSON, TEXT

EVENT = {"specversion": "1.0", "id": "one", "source": "/tests", "type": "dev.darkroom.image.requested"}
DATA = {"prompt": "a red star"}
BODY = json.dumps(DATA).encode()
JSON_TYPE = {"content-type": "application/json"}
STRUCTURED = {"content-type": "application/cloudevents+json"}


def binary(body: bytes = BODY, /, **attributes: str) -> Message:
    """The event in binary mode, read."""
    return read({f"ce-{name}": value for name, value in (EVENT | attributes).items()} | JSON_TYPE, body)


def structured(**members: Any) -> Message:
    """The event in structured mode, read."""
    return read(STRUCTURED, json.dumps(EVENT | {"data": DATA} | members).encode())


def without(name: str) -> dict[str, str]:
    return {other: value for other, value in EVENT.items() if other != name}


def test_binary_event() -> None:
    message = binary(time="2026-11-24T10:00:00.5Z", subject="in/red.json", traceparent="00-a-b-01")
    assert message.data == DATA
    assert message.type == "dev.darkroom.image.requested"
    assert {name: message.attributes[name] for name in EVENT} == EVENT
    assert message.attributes["time"] == "2026-11-24T10:00:00.500000+00:00"
    assert (message.attributes["subject"], message.attributes["traceparent"]) == ("in/red.json", "00-a-b-01")


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


@pytest.mark.parametrize("name", EVENT)
def test_missing_attribute_is_refused_and_not_invented(name: str) -> None:
    with pytest.raises(NotACloudEvent, match=name):
        read({f"ce-{other}": value for other, value in without(name).items()} | JSON_TYPE, BODY)
    with pytest.raises(NotACloudEvent, match=name):
        read(STRUCTURED, json.dumps(without(name) | {"data": DATA}).encode())


@pytest.mark.parametrize("name", EVENT)
@pytest.mark.parametrize("value", ["", None, 1, True, ["1.0"], {"a": "1.0"}])
def test_empty_attribute_is_refused(name: str, value: object) -> None:
    with pytest.raises(NotACloudEvent, match=name):
        structured(**{name: value})
    if value == "":
        with pytest.raises(NotACloudEvent, match=name):
            binary(**{name: value})


@pytest.mark.parametrize("version", ["0.3", "2.0", "1", "1.1", "1.0 ", "%31.0"])
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
        read(STRUCTURED, body)
    with pytest.raises(NotACloudEvent):
        read(STRUCTURED, json.dumps(EVENT)[:-1].encode() + b', "data": ' + body + b"}")


@pytest.mark.parametrize("body", [b"[]", b"null", b'"an event"', b"1", b"[{}]"])
def test_structured_event_is_an_object(body: bytes) -> None:
    with pytest.raises(NotACloudEvent):
        read(STRUCTURED, body)


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
    assert read(STRUCTURED, b"\xef\xbb\xbf" + json.dumps(EVENT | {"data": DATA}).encode()).data == DATA


def test_empty_body() -> None:
    assert binary(b"").data is None
    with pytest.raises(NotACloudEvent):
        read(STRUCTURED, b"")
    assert read(STRUCTURED, json.dumps(EVENT).encode()).data is None


@pytest.mark.parametrize("headers", [{}, {f"ce-{name}": value for name, value in EVENT.items()}])
@pytest.mark.parametrize("format", ["-batch+json", "-batch+json; charset=utf-8", "", "+avro", "+protobuf"])
def test_batches_and_other_formats_are_refused(format: str, headers: dict[str, str]) -> None:
    for body in (json.dumps([EVENT | {"data": DATA}]).encode(), b"[]", b""):
        with pytest.raises(NotACloudEvent):
            read(headers | {"content-type": f"application/cloudevents{format}"}, body)


def test_stray_headers_do_not_make_a_structured_event_binary() -> None:
    stray = {"ce-id": "other", "ce-type": "other", "ce-foo": "bar"}
    message = read(STRUCTURED | stray, json.dumps(EVENT | {"data": DATA}).encode())
    assert (message.data, message.attributes["id"], message.type) == (DATA, "one", EVENT["type"])
    assert "foo" not in message.attributes


@pytest.mark.parametrize("name", [*EVENT, "subject", "correlationid", "traceparent", "anything"])
@pytest.mark.parametrize("value", ["x" * (MAX_ATTRIBUTE + 1), "\u00e9" * (MAX_ATTRIBUTE // 2 + 1), "a\0b"])
def test_attribute_that_is_too_long_or_holds_a_nul_is_refused(name: str, value: str) -> None:
    with pytest.raises(NotACloudEvent):
        binary(**{name: value.replace("\0", "%00")})
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
    ],
)
def test_header_values_are_percent_encoded(sent: str, meant: str) -> None:
    assert binary(subject=sent, id=sent).attributes["subject"] == meant
    assert binary(subject=sent, id=sent).attributes["id"] == meant
    assert structured(subject=sent).attributes["subject"] == sent, "in JSON nothing is percent-encoded"


@pytest.mark.parametrize("type", ["application/json", "text/json", "Application/JSON; charset=utf-8", "x/y+json", None])
def test_data_of_a_json_type_or_of_none_is_read(type: str | None) -> None:
    # A KafkaSource names no type for what it wraps.
    headers = {f"ce-{name}": value for name, value in EVENT.items()}
    assert read(headers | ({"content-type": type} if type else {}), BODY).data == DATA


@pytest.mark.parametrize("type", ["text/plain", "application/xml", "image/png", "application/jsonl"])
@pytest.mark.parametrize("body", [BODY, b"<a/>", b"\xff\xfe"])
def test_data_of_another_type_is_a_valid_event_without_json(type: str, body: bytes) -> None:
    headers = {f"ce-{name}": value for name, value in EVENT.items()} | {"content-type": type}
    message = read(headers, body)
    assert (message.data, message.attributes["id"]) == (None, "one")


def test_data_in_base64() -> None:
    def sent(inner: bytes | str, **more: object) -> Message:
        text = inner if isinstance(inner, str) else base64.b64encode(inner).decode()
        return read(STRUCTURED, json.dumps(EVENT | {"data_base64": text} | more).encode())

    assert sent(BODY).data == DATA
    long = json.dumps({"prompt": "x" * 4000}).encode()
    assert sent(long, datacontenttype="application/json").data == {"prompt": "x" * 4000}
    assert sent(b"\xff\xd8", datacontenttype="image/jpeg").data is None
    for refused in (b"{", b"\xff", "no base64!"):
        with pytest.raises(NotACloudEvent):
            sent(refused)
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


@pytest.mark.parametrize(("value", "text"), [(True, "true"), (False, "false"), (5, "5"), (-(2**31), "-2147483648")])
def test_typed_attributes_become_text(value: object, text: str) -> None:
    assert structured(anything=value).attributes["anything"] == text


@pytest.mark.parametrize("value", [1.5, [], ["x" * 100_000], {}, {"a": "b"}])
def test_attributes_are_scalars(value: object) -> None:
    with pytest.raises(NotACloudEvent):
        structured(correlationid=value)


@pytest.mark.parametrize("name", ["Subject", "data-x", "a_b", "caf\u00e9", ""])
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
    try:
        message = read(headers | {"content-type": type}, body)
    except NotACloudEvent:
        return
    assert all(message.attributes[name] for name in EVENT)
    assert all(isinstance(value, str) for value in message.attributes.values())


VALUES = TEXT.filter(lambda text: text and "\0" not in text)


@given(st.fixed_dictionaries(dict.fromkeys(("id", "source", "type", "subject", "partitionkey"), VALUES)), JSON)
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
