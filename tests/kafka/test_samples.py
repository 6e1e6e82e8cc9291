"""What a KafkaSource was recorded to send means what it was recorded with; samples/kafkasource.json.

A message there is a record of a topic (its bytes as UTF-8; without its value where that became the body unchanged) with
`headers` and `body` of the request that it became, as an HTTP server hands them on. Truth beside it are the objects
`created`, as the S3 API showed them, what was `carried` in plain records, or the `requests` that events asked for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from events.dialects import Carried, Dropped, Found, Prompted, read
from events.envelope import read as read_event
from events.request import ObjectRef
from tests.events import record_samples

CASES: list[dict[str, Any]] = json.loads((record_samples.SAMPLES / "kafkasource.json").read_text("ascii"))
each_case = pytest.mark.parametrize("case", CASES, ids=[case["what"] for case in CASES])


def founds(case: Mapping[str, Any]) -> list[Found]:
    """What each of the case's messages asks for."""
    return [read(read_event(sent["headers"], sent["body"].encode())) for sent in case["messages"]]


@each_case
def test_sample_means_what_it_was_recorded_with(case: dict[str, Any]) -> None:
    found = founds(case)
    refs = [ref for each in found if isinstance(each, Dropped) for ref in each.objects]
    assert refs == [ObjectRef(**created) for created in case["created"]]
    assert [each.received for each in found if isinstance(each, Carried)] == case.get("carried", [])
    requests = [each.request for each in found if isinstance(each, Prompted)]
    asked = [{name: getattr(request, name) for name in ("source", "id", "received")} for request in requests]
    assert asked == case.get("requests", [])


@each_case
def test_record_of_minio_is_named_after_its_object(case: dict[str, Any]) -> None:
    records = [message["record"] for message in case["messages"]]
    if case["created"]:
        assert [record["key"] for record in records] == [f"{ref['bucket']}/{ref['key']}" for ref in case["created"]]
        assert [record["headers"] for record in records] == [[] for _ in records]


def test_samples_hold_what_is_hard() -> None:
    for suffix, missing in (("", set()), (", its key as text", {"a newline"})):
        assert {case["what"] for case in CASES} >= {what + suffix for what in record_samples.KEYS.keys() - missing}
    nothing = {case["what"] for case in CASES if case["messages"] and not case["created"]}
    assert nothing >= {"a folder", "new tags", "no tags any more", "a removal", "a delete marker"}
