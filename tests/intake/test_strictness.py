"""Malformed messages at both doors of a real intake: the documented answer, nothing published, nothing echoed."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping

import pytest
import urllib3

from events import IMAGE_REQUESTED
from events.envelope import BATCH, STRUCTURED
from function.demo.s3server import S3Server
from tests.events.malformed import BODY, DATA, EVENT, MALFORMED, OTHER, Malformed, binary
from tests.intake.conftest import Intake, intake_on
from tests.process.measure import send_until_answered

TOKEN = secrets.token_hex(16)
AUTHORIZED = {"authorization": f"Bearer {TOKEN}"}
REFUSED = b"not a CloudEvent 1.0 with JSON data\n"
# At the door, where JSON needs nothing around it, these are prompts as good as any.
PLAIN_PROMPTS = {"a plain JSON prompt", "no specversion"}
SMALL = [each for each in MALFORMED if each.status != 413]
LARGE = [each for each in MALFORMED if each.status == 413]


@pytest.fixture(scope="module")
def strict(seaweedfs: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Intake]:
    """An intake whose door asks for a token."""
    with intake_on(seaweedfs, tmp_path_factory.mktemp("strict"), DARKROOM_DOOR_TOKEN=TOKEN) as running:
        yield running


@pytest.fixture(autouse=True)
def unchanged(strict: Intake) -> Iterator[None]:
    """Nothing is published but what the test took from the sink, and nothing is stored."""
    assert strict.deliveries.empty(), "left by the test before"
    yield
    # Both doors publish before they answer.
    assert strict.deliveries.empty(), "published"
    assert strict.server.client.list_objects_v2(Bucket=strict.images)["KeyCount"] == 0, "stored"


def answered(answer: urllib3.BaseHTTPResponse) -> tuple[int, bytes]:
    """Status and body of an answer, which repeats nothing in its headers either."""
    assert {name.lower() for name in answer.headers} <= {"content-length", "content-type", "date", "connection"}
    assert answer.headers.get("content-type", "").partition(";")[0] in ("", "text/html", "text/plain")
    return answer.status, answer.data


def over(strict: Intake, path: str, large: Malformed, more: Mapping[str, str]) -> bytes:
    """The answer's head to a body of which the server will not read all."""
    headers = large.headers | dict(more) | {"host": "darkroom", "content-length": str(len(large.body))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    blocks = [large.body[start : start + 65536] for start in range(0, len(large.body), 65536)]
    return send_until_answered(strict.process.port, f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode(), blocks, 0.05)[0]


@pytest.mark.parametrize("malformed", SMALL, ids=lambda each: each.name)
def test_at_the_expanders_door(strict: Intake, malformed: Malformed) -> None:
    answer = strict.process.post("/", malformed.body, malformed.headers)
    assert answered(answer) == {400: (400, REFUSED), 204: (204, b"")}[malformed.status]


@pytest.mark.parametrize("malformed", SMALL, ids=lambda each: each.name)
def test_at_the_door_for_anything(strict: Intake, malformed: Malformed) -> None:
    """A server's queue would repeat what is refused, and let nothing past it."""
    answer = strict.process.post("/drop", malformed.body, malformed.headers | AUTHORIZED)
    if malformed.name in PLAIN_PROMPTS:
        assert answered(answer) == (202, b"")
        event = strict.told()
        assert (event["type"], event["source"], event["data"]) == (IMAGE_REQUESTED, "/drop", DATA)
    else:
        assert answered(answer) == (204, b"")


@pytest.mark.parametrize("malformed", SMALL, ids=lambda each: each.name)
def test_without_the_token_nothing_is_looked_at(strict: Intake, malformed: Malformed) -> None:
    answer = strict.process.post("/drop", malformed.body, malformed.headers)
    assert answered(answer) == (401, b"the Authorization header does not carry the door's token\n")


@pytest.mark.parametrize("large", LARGE, ids=lambda each: each.name)
@pytest.mark.parametrize(("path", "more"), [("/", {}), ("/drop", AUTHORIZED), ("/drop", {})])
def test_a_body_over_the_limit_is_not_taken(strict: Intake, path: str, more: dict[str, str], large: Malformed) -> None:
    head = over(strict, path, large, more)
    assert head.startswith(b"HTTP/1.1 413 ")
    assert b"xxx" not in head
    assert b"/tests" not in head


def test_of_a_batch_with_one_bad_entry_nothing_is_published(strict: Intake) -> None:
    good = [EVENT | {"id": str(number), "data": DATA} for number in range(2)]
    headers = {"content-type": BATCH}
    for bad in ({**good[0], "id": ""}, {**good[0], "specversion": "0.3"}, 7):
        body = json.dumps([good[0], bad, good[1]]).encode()
        assert answered(strict.process.post("/", body, headers)) == (400, REFUSED)
        assert answered(strict.process.post("/drop", body, headers | AUTHORIZED)) == (204, b"")
        assert strict.deliveries.empty()
    for path in ("/", "/drop"):
        body = json.dumps([good[0], OTHER, good[1]]).encode()
        assert answered(strict.process.post(path, body, headers | AUTHORIZED)) == (202, b"")
        assert [strict.told()["id"] for _ in good] == ["0", "1"]


def test_beside_a_structured_body_ce_headers_count_for_nothing(strict: Intake) -> None:
    headers = {"ce-specversion": "0.3", "ce-id": "outer", "ce-source": "/o", "ce-type": "o", "content-type": STRUCTURED}
    for path in ("/", "/drop"):
        body = json.dumps(EVENT | {"id": "inner", "data": DATA}).encode()
        assert answered(strict.process.post(path, body, headers | AUTHORIZED)) == (202, b"")
        event = strict.told()
        assert (event["source"], event["id"], event["data"]) == ("/tests", "inner", DATA)


def test_without_a_content_type_data_is_json(strict: Intake) -> None:
    sent = binary("", 202, BODY, None)
    for path in ("/", "/drop"):
        assert answered(strict.process.post(path, sent.body, sent.headers | AUTHORIZED)) == (202, b"")
        assert strict.told()["data"] == DATA


def test_there_are_thirty_kinds() -> None:
    assert len({each.name for each in MALFORMED if each.status != 204}) >= 30
