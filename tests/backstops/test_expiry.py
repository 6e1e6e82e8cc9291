"""An event that comes too late is not drawn, and fails as `expired`; whatever has an outcome already keeps it."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta

import urllib3

from events import IMAGE_REQUESTED, PROMPTS_DROPPED
from tests.backstops.house import PROMPT, STRUCTURED, House, key
from tests.darkroom import eventually, outcome_of, without_urls
from tests.servers.broker import Broker


def at(seconds: float) -> str:
    """The instant so many seconds from now."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def test_what_has_expired_is_a_recorded_failure_and_no_render(house: House) -> None:
    render = house.drawing()
    event = outcome_of(render.event(PROMPT, id="late", expirytime=at(-1), correlationid="c"))
    assert event["data"]["code"] == "expired"
    assert event["correlationid"] == "c"
    assert "expirytime" not in event, "an outcome does not expire"
    assert house.renders() == []
    assert house.objects("records/")[f"records/{key('late')}.json"]["outcome"] == event
    assert house.attempts(key("late")) == ["committed"], "it was recorded without a claim"
    assert outcome_of(render.event(PROMPT, id="late")) == event, "the record counts, whatever a redelivery says"

    for zone in ("+14:00", "-12:00", "Z"):
        far = outcome_of(render.event(PROMPT, id=f"early{zone}", expirytime=f"9999-12-31T23:59:59{zone}"))
        assert far["type"] == "dev.darkroom.image.completed"


def test_what_was_drawn_in_time_is_told_for_ever(house: House) -> None:
    render = house.drawing()
    drawn = outcome_of(render.event(PROMPT, id="drawn", expirytime=at(60)))
    again = outcome_of(render.event(PROMPT, id="drawn", expirytime=at(-60)))
    assert without_urls(again) == without_urls(drawn)
    assert len(house.renders()) == 1


def test_no_expiry_overtakes_a_running_render(house: House) -> None:
    render = house.drawing(DRAWING_SECONDS="3")
    answers: list[urllib3.BaseHTTPResponse] = []
    first = threading.Thread(target=lambda: answers.append(render.event(PROMPT, id="slow", expirytime=at(1.5))))
    first.start()
    eventually(house.renders, "the render begins")
    assert render.event(PROMPT, id="slow", expirytime=at(-1)).status in (409, 429)
    other = house.drawing()
    assert other.event(PROMPT, id="slow", expirytime=at(-1)).status == 409
    first.join(30)
    assert outcome_of(answers[0])["type"] == "dev.darkroom.image.completed"


def test_an_expiry_that_is_none_is_refused_as_a_time_is(house: House) -> None:
    alone, headers = house.drawing("serve"), {"content-type": STRUCTURED}
    event = {"specversion": "1.0", "id": "odd", "source": "/tests", "type": IMAGE_REQUESTED, "data": PROMPT}
    for malformed in ("soon", "2026-11-24", "2026-11-24T10:00:00", "2026-13-24T10:00:00Z"):
        answer = alone.event(PROMPT, id="odd", expirytime=malformed)
        assert (answer.status, answer.data) == (400, b"not a CloudEvent 1.0 with JSON data\n")
        body = json.dumps(event | {"expirytime": malformed}).encode()
        assert alone.post("/drop", body, headers).status == 204
    assert house.renders() == []
    assert house.objects("records/") == {}


def test_a_file_takes_its_expiry_to_each_of_its_prompts(house: House) -> None:
    lines = [json.dumps({"prompt": f"a {colour} star"}) for colour in ("red", "blue", "green")]
    house.server.client.put_object(Bucket=house.prompts, Key="late.jsonl", Body="\n".join(lines).encode())
    etag = house.server.client.head_object(Bucket=house.prompts, Key="late.jsonl")["ETag"].strip('"')
    with Broker() as broker:
        intake, render = house.process("intake", K_SINK=broker.url), house.drawing()
        broker.trigger(PROMPTS_DROPPED, intake.url + "/")
        broker.trigger(IMAGE_REQUESTED, render.url + "/", at_once=1)
        file = {"object": {"bucket": house.prompts, "key": "late.jsonl", "etag": etag}}
        headers = {"ce-expirytime": at(-5), "ce-specversion": "1.0", "ce-id": "1", "ce-source": "/tests"}
        headers |= {"ce-type": PROMPTS_DROPPED, "content-type": "application/json"}
        # By the door, whose announcement has to carry it, too.
        assert intake.post("/drop", json.dumps(file).encode(), headers).status == 202
        eventually(lambda: len(house.objects("results/")) == 3 and broker.idle, "three results")
        assert broker.dead == []
    results = house.objects("results/").values()
    assert {result["data"]["code"] for result in results} == {"expired"}
    assert house.renders() == []
