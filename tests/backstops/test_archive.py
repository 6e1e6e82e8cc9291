"""`darkroom archive`: what Knative gives up on is in the bucket before it is taken, and none overwrites another."""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from events.envelope import encode_json
from events.request import key_of
from function.commands.status import SHOWN
from function.demo.s3server import S3Server
from function.errors import StoreDown
from function.health import Health
from function.letters.archive import AT_ONCE, MAX_LETTER, Archive
from tests.backstops.house import GIVEN_UP, PROMPT, STRUCTURED, House, dead, key
from tests.fakes import Clock, MemoryStore


def binary(id: str, source: str = "/tests", **attributes: str) -> dict[str, str]:
    """The headers with which a dispatcher sends a dead letter."""
    sent = {"specversion": "1.0", "id": id, "source": source, "type": "dev.darkroom.image.requested"}
    headers = {f"ce-{name}": quote(value) for name, value in (sent | GIVEN_UP | attributes).items()}
    return headers | {"content-type": "application/json"}


def test_each_letter_is_kept_as_it_came(s3_server: S3Server, tmp_path: Path) -> None:
    with ExitStack() as running:
        house = House.on(s3_server, tmp_path, running)
        archive = house.process("archive")
        # As one sends JSON, and with spaces that would be lost if it were written anew.
        legible, exact = encode_json(PROMPT), json.dumps(PROMPT).encode()
        assert archive.post("/", legible, binary("caf\u00e9/\u2713")).status == 202
        assert archive.post("/", exact, binary("exact")).status == 202
        assert archive.post("/", b"", binary("empty")).status == 202
        sent = json.dumps(dead("structured", expirytime="2026-11-24T10:00:00Z", hops=3), indent=1).encode()
        assert archive.post("/", sent, {"content-type": f"{STRUCTURED}; charset=utf-8"}).status == 202

        letters = {name.split("/")[1]: letter for name, letter in house.objects("dead/").items()}
        assert letters[key("caf\u00e9/\u2713")] == dead("caf\u00e9/\u2713")
        assert base64.b64decode(letters[key("exact")].pop("data_base64")) == exact
        assert letters[key("exact")] == without_data(dead("exact"))
        assert letters[key("empty")] == without_data(dead("empty"))
        (name,) = house.objects(f"dead/{key('structured')}/")
        assert house.read(name) == sent
        assert archive.metric("darkroom_answers_total") == 4


def test_what_every_door_refuses_is_kept_too(house: House) -> None:
    archive = house.process("archive")
    broken = b'{"prompt": "a red star"'
    unreadable = [binary("broken"), binary("late", expirytime="soon"), binary("long", comment="x" * 4000)]
    assert [archive.post("/", broken, headers).status for headers in unreadable] == [202] * 3
    letters = {name.split("/")[1]: letter for name, letter in house.objects("dead/").items()}
    assert letters.keys() == {key("broken"), key("late"), key("long")}
    assert {base64.b64decode(letter["data_base64"]) for letter in letters.values()} == {broken}
    assert letters[key("late")]["expirytime"] == "soon"


def without_data(event: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name != "data"}


def test_letters_of_one_event_do_not_overwrite_each_other(house: House) -> None:
    archive = house.process("archive")
    body = json.dumps(PROMPT).encode()
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: archive.post("/", body, binary("same")).status, range(64)))
    assert answers == [202] * 64
    assert len(house.objects(f"dead/{key('same')}/")) == 64


def test_not_even_in_the_same_microsecond() -> None:
    clock, health = Clock(), Health()
    store = MemoryStore("images", clock)
    archive = Archive(store, health, clock)
    health.loaded()
    for _ in range(AT_ONCE):
        assert archive(binary("same"), encode_json(PROMPT)).status_code == 202
    assert len(list(store.list(f"dead/{key('same')}/"))) == AT_ONCE
    with pytest.raises(StoreDown, match="every name"):
        archive(binary("same"), encode_json(PROMPT))


NO_LETTERS: list[tuple[dict[str, str], bytes, int]] = [
    ({"content-type": "application/json"}, b"{}", 400),
    ({name: value for name, value in binary("x").items() if name != "ce-id"}, b"{}", 400),
    ({"content-type": STRUCTURED}, b"[" * 100_000, 400),
    (binary("x"), b"x" * (MAX_LETTER + 1), 413),
]


def test_what_is_no_letter_is_refused_and_what_is_largest_is_kept(house: House) -> None:
    archive = house.process("archive")
    assert [archive.post("/", body, headers).status for headers, body, _ in NO_LETTERS] == [
        each[2] for each in NO_LETTERS
    ]
    assert house.objects("dead/") == {}
    largest = json.dumps({"prompt": "x" * (MAX_LETTER - 20)}).encode()
    assert archive.post("/", largest, binary("large")).status == 202
    assert len(house.objects("dead/")) == 1


def test_without_the_store_nothing_is_taken_and_at_sigterm_all_is_finished(house: House) -> None:
    archive = house.process("archive", DARKROOM_IMAGE_BUCKET="no-such-bucket")
    assert archive.post("/", b"{}", binary("lost")).status == 503
    assert [archive.probe(which) for which in ("startup", "readiness", "liveness")] == [200, 200, 200]
    archive.terminate()
    assert archive.wait_exit(20) == 0


def test_status_names_the_letters_of_a_key_and_an_archive_is_no_door_for_prompts(house: House) -> None:
    archive, asked = house.process("archive"), key_of("s3://prompts", "id")
    for _ in range(SHOWN + 2):
        assert archive.post("/", b"{}", binary("id", source="s3://prompts")).status == 202
    letters = sorted(house.objects(f"dead/{asked}/"))
    shown = house.darkroom("status", asked).stdout.splitlines()
    expected = [f"  dead     {name}, answered 503 by {GIVEN_UP['knativeerrordest']}" for name in letters[2:]]
    assert shown[2:] == [*expected, "  dead     and 2 before that"]
    assert archive.post("/drop", json.dumps(PROMPT).encode(), {"content-type": "application/json"}).status == 404
