"""`darkroom retry`: what is recorded is asked for once more, under a key of its own, and nothing is deleted."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from events import IMAGE_COMPLETED, IMAGE_REQUESTED
from events.request import ObjectRef, from_object, key_of
from function.demo.process import free_ports
from tests.backstops.house import PROMPT, House, key, sentence
from tests.contract.validate import validated
from tests.darkroom import eventually, outcome_of
from tests.receiver import receiver
from tests.servers.broker import Broker

PAST = "2026-11-23T10:00:00Z"


def retried(id: str, number: int) -> str:
    """The id of a retry, by the formula."""
    return hashlib.sha256(f"{id}\0{number}".encode()).hexdigest()


def test_each_retry_has_a_key_of_its_own_and_is_drawn(house: House) -> None:
    render = house.drawing()
    late = outcome_of(render.event(PROMPT, id="late", expirytime=PAST, correlationid="c"))
    before = house.objects("records/")
    for number in (1, 2):
        done = house.darkroom("retry", key("late"), "--to", render.url)
        assert (done.returncode, done.stdout) == (0, key_of("/tests", retried("late", number)) + "\n"), done.stderr
    assert house.renders() == [PROMPT["prompt"]] * 2
    records = house.objects("records/")
    assert len(records) == 3
    assert records[f"records/{key('late')}.json"] == before[f"records/{key('late')}.json"]
    again = records[f"records/{key_of('/tests', retried('late', 2))}.json"]["outcome"]
    assert (again["type"], again["correlationid"]) == (IMAGE_COMPLETED, "c")
    assert outcome_of(render.event(PROMPT, id="late")) == late

    shown = house.darkroom("status", key("late")).stdout.splitlines()
    assert (
        "  failure  expired: the event's expirytime passed before it was drawn; send it with a new id and a later one"
        in shown
    )
    assert [line for line in shown if line.startswith("  retry ")] == [
        f"  retry    {number}: {key_of('/tests', retried('late', number))}, recorded" for number in (1, 2)
    ]


def test_a_retry_that_is_under_way_is_not_asked_for_twice(house: House) -> None:
    render, (port,) = house.drawing(), free_ports(1)
    assert render.event(PROMPT, id="once").status == 200
    with receiver(port) as deliveries:
        keys = {house.darkroom("retry", key("once"), K_SINK=f"http://127.0.0.1:{port}").stdout for _ in range(2)}
        first, second = (validated(json.loads(deliveries.get(timeout=5).body)) for _ in range(2))
    assert keys == {key_of("/tests", retried("once", 1)) + "\n"}
    assert {name: first[name] for name in first if name != "time"} == {
        name: second[name] for name in second if name != "time"
    }
    assert (first["retry"], first["data"]) == (1, PROMPT)
    assert not {"batchid", "batchsize"} & first.keys()


def test_the_retry_of_a_files_prompt_is_that_prompts_result(house: House) -> None:
    house.server.client.put_object(Bucket=house.prompts, Key="late.json", Body=json.dumps(PROMPT).encode())
    etag = house.server.client.head_object(Bucket=house.prompts, Key="late.json")["ETag"].strip('"')
    ref = ObjectRef(house.prompts, "late.json", etag=etag)
    result, first = f"results/{house.prompts}/late.json.0.json", from_object(ref, 0, None)
    with Broker() as broker:
        render, intake = house.drawing(), house.process("intake", K_SINK=broker.url)
        dropped = {"object": {"bucket": house.prompts, "key": "late.json", "etag": etag}}
        failed = outcome_of(render.event(dropped, id="1", type="dev.darkroom.prompts.dropped", expirytime=PAST))
        assert house.objects("results/")[result]["data"]["code"] == failed["data"]["code"] == "expired"
        # By the broker, and the second by intake, too, which sends it on; each is the retry of the first request.
        broker.trigger(IMAGE_REQUESTED, render.url + "/", at_once=1)
        asked, expected = first.key, [key_of(ref.source, retried(first.id, number)) for number in (1, 2)]
        for number, to in enumerate((broker.url, intake.url)):
            done = house.darkroom("retry", asked, "--to", to)
            assert done.stdout == expected[number] + "\n", done.stderr
            asked = expected[number]
            drawn = eventually_result(house, result, asked)
            assert drawn["type"] == IMAGE_COMPLETED
            assert drawn["data"]["source_object"] == {**dropped["object"], "size": len(json.dumps(PROMPT)), "index": 0}
        assert broker.dead == []
    assert len(house.renders()) == 2
    shown = house.darkroom("status", f"{house.prompts}/late.json").stdout
    assert all(f"  retry    {number}: {expected[number - 1]}, recorded\n" in shown for number in (1, 2))


def eventually_result(house: House, name: str, key: str) -> dict[str, Any]:
    def there() -> dict[str, Any] | None:
        result: dict[str, Any] = house.objects(name)[name]
        return result if result["data"]["key"] == key else None

    return eventually(there, f"the result of {key}")


def test_what_cannot_be_retried_is_one_sentence(house: House) -> None:
    render = house.drawing()
    assert outcome_of(render.event({"prompt": " "}, id="bad"))["data"]["code"] == "invalid_prompt"
    to = ("--to", render.url)
    assert sentence(house.darkroom("retry", key("never"), *to)) == (
        f"{key('never')} has no record yet, so there is nothing to retry; darkroom status {key('never')} says more"
    )
    assert sentence(house.darkroom("retry", key("bad"), *to)).startswith(
        "nothing else can come of it, send what is right: "
    )
    assert sentence(house.darkroom("retry", key("bad"))).startswith("K_SINK is not set;")
    assert house.darkroom("retry", "late.json", *to).returncode == 2
    assert house.darkroom("retry", "all", *to).returncode == 2
    assert len(house.objects("records/")) == 1
