"""The door's token, at the doors of a real standalone: nothing but the token itself opens them."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Iterator

import pytest

from function.demo.s3server import S3Server
from tests.darkroom import DarkroomProcess
from tests.fuzz.wire import Answer, Connection
from tests.stores import new_bucket

# Not ASCII on purpose: what is compared are bytes, as a UTF-8 terminal sends them.
TOKEN = "geheim-schlüssel-" + secrets.token_hex(8)
RIGHT = f"Bearer {TOKEN}".encode()
WRONG = {
    "no header": (),
    "an empty one": (b" ",),
    "only the scheme": (b"Bearer",),
    "one byte less": (RIGHT[:-1],),
    "one byte more": (RIGHT + b"x",),
    "another byte": (RIGHT[:-1] + b"\xff",),
    "in upper case": (b"Bearer " + TOKEN.upper().encode(),),
    "in Latin-1": (b"Bearer " + TOKEN.encode("latin-1"),),
    "another scheme": (b"Basic " + TOKEN.encode(),),
    "100,000 bytes": (b"Bearer " + b"x" * 100_000,),
    "no text": (b"Bearer \xff\xfe",),
    "the right one and another": (RIGHT, b"Bearer wrong"),
}
BODY = b'{"nothing": "to do"}'


@pytest.fixture(scope="module")
def port(seaweedfs: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    buckets = {"DARKROOM_IMAGE_BUCKET": new_bucket(seaweedfs), "DARKROOM_PROMPT_BUCKETS": new_bucket(seaweedfs)}
    settings = buckets | {"DARKROOM_DOOR_TOKEN": TOKEN}
    folder = tmp_path_factory.mktemp("token")
    with DarkroomProcess("serve", seaweedfs, folder, settings, program=("-m", "tests.drawing")) as process:
        yield process.wait_ready().port


def answer(port: int, path: str, *headers: bytes) -> Answer:
    lines = [b"POST %s HTTP/1.1" % path.encode(), b"host: darkroom", b"ce-specversion: 1.0", b"ce-source: /tests"]
    lines += [b"ce-id: " + uuid.uuid4().hex.encode(), b"ce-type: com.example", b"content-type: application/json"]
    lines += [b"authorization: " + header for header in headers]
    connection = Connection(port)
    connection.send(b"\r\n".join([*lines, b"content-length: %d" % len(BODY), b"", BODY]))
    received = connection.receive()
    connection.close()
    assert received is not None
    return received


@pytest.mark.parametrize("path", ["/", "/drop"])
def test_the_token_opens(port: int, path: str) -> None:
    assert answer(port, path, RIGHT).status == 204


@pytest.mark.parametrize("path", ["/", "/drop"])
@pytest.mark.parametrize("wrong", WRONG)
def test_nothing_else_does(port: int, path: str, wrong: str) -> None:
    refused = answer(port, path, *WRONG[wrong])
    assert (refused.status, refused.body) == (401, b"the Authorization header does not carry the door's token\n")
