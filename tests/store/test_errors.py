"""What the S3 adapter says when the store does not do as asked: the right kind of error, in one clear sentence."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from function.demo.process import free_ports
from function.demo.s3server import S3Server
from function.errors import AccessDenied, BucketMissing, StoreDown
from function.store import ObjectStore
from tests.store.real import s3_store

CALLS: dict[str, Callable[[ObjectStore], object]] = {
    "create": lambda store: store.create("key", b"body"),
    "write": lambda store: store.write("key", b"body"),
    "read": lambda store: store.read("key"),
    "list": lambda store: list(store.list("")),
    "delete": lambda store: store.delete("key"),
}
EVERY_CALL = pytest.mark.parametrize("call", list(CALLS))
ANSWERS = {
    "conflict": (409, "ConditionalRequestConflict"),
    "exists": (412, "PreconditionFailed"),
    "gone": (404, "NoSuchKey"),
    "unknown-header": (501, "NotImplemented"),
}
KEYS = {"AWS_ACCESS_KEY_ID": "somebody", "AWS_SECRET_ACCESS_KEY": "something", "AWS_REGION": "us-east-1"}


def assert_sentence(error: pytest.ExceptionInfo[StoreDown], *words: str) -> None:
    """The error is one short line that has these words and no Python in it."""
    message = str(error.value)
    assert len(message) < 200
    assert "\n" not in message
    assert "(" not in message
    for word in words:
        assert word in message


@pytest.fixture(scope="module")
def broken() -> Iterator[Mapping[str, str]]:
    """The environment of a server that answers everything with the S3 error that the bucket's name spells."""

    class Door(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # or it never says 100, for which boto3 waits a second before each PUT

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            bucket = self.path.split("/")[1].partition("?")[0]
            if bucket == "undated":
                self.send_response_only(200)
                self.send_header("ETag", '"0"')
                self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
                self.send_header("Content-Length", "0")
                self.send_header("Connection", "close")
                self.end_headers()
                return
            status, code = ANSWERS[bucket]
            body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PUT = do_DELETE = answer  # noqa: N815  # http.server looks for these names

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Door) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield KEYS | {"AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{server.server_port}"}
        finally:
            server.shutdown()
            thread.join()


@EVERY_CALL
def test_bucket_missing(s3_server: S3Server, call: str) -> None:
    with pytest.raises(BucketMissing) as error:
        CALLS[call](s3_store(s3_server.environment, "no-such-bucket"))
    assert_sentence(error, "the bucket no-such-bucket does not exist")


@EVERY_CALL
def test_wrong_secret(s3_server: S3Server, call: str) -> None:
    wrong = s3_server.environment | {"AWS_SECRET_ACCESS_KEY": "wrong" * 8}
    with pytest.raises(AccessDenied) as error:
        CALLS[call](s3_store(wrong, "some-bucket"))
    assert_sentence(error, "denies access", "some-bucket", "check AWS_ACCESS_KEY_ID")


@EVERY_CALL
def test_unknown_access_key(s3_server: S3Server, call: str) -> None:
    unknown = s3_server.environment | {"AWS_ACCESS_KEY_ID": "unknown" * 3}
    with pytest.raises(AccessDenied) as error:
        CALLS[call](s3_store(unknown, "some-bucket"))
    assert_sentence(error, "denies access", "some-bucket", "check AWS_ACCESS_KEY_ID")


def test_nobody_answers() -> None:
    (port,) = free_ports(1)
    store = s3_store(KEYS | {"AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{port}"}, "some-bucket")
    with pytest.raises(StoreDown) as error:
        store.read("key")
    assert not isinstance(error.value, AccessDenied | BucketMissing)
    assert_sentence(error, "object storage does not answer")


@pytest.mark.parametrize("call", ["create", "write", "read", "list"])
def test_a_conflict_is_not_taken_for_an_answer(broken: Mapping[str, str], call: str) -> None:
    """S3's 409 says that two writers met and not which of them won."""
    with pytest.raises(StoreDown) as error:
        CALLS[call](s3_store(broken, "conflict"))
    assert_sentence(error, "ConditionalRequestConflict", "bucket conflict")


def test_a_header_that_the_store_does_not_know(broken: Mapping[str, str]) -> None:
    with pytest.raises(StoreDown) as error:
        s3_store(broken, "unknown-header").create("key", b"body")
    assert_sentence(error, "NotImplemented", "bucket unknown-header")


@pytest.mark.parametrize("call", ["create", "write", "list"])
def test_gone_where_nothing_was_looked_for(broken: Mapping[str, str], call: str) -> None:
    with pytest.raises(StoreDown) as error:
        CALLS[call](s3_store(broken, "gone"))
    assert_sentence(error, "NoSuchKey", "bucket gone")


@pytest.mark.parametrize("call", ["write", "read", "list", "delete"])
def test_exists_where_nothing_was_created(broken: Mapping[str, str], call: str) -> None:
    with pytest.raises(StoreDown) as error:
        CALLS[call](s3_store(broken, "exists"))
    assert_sentence(error, "PreconditionFailed", "bucket exists")


def test_delete_of_what_is_gone(broken: Mapping[str, str]) -> None:
    """Some stores answer it with 404, most with 204."""
    s3_store(broken, "gone").delete("key")


def test_a_store_that_tells_no_time(broken: Mapping[str, str]) -> None:
    with pytest.raises(StoreDown) as error:
        s3_store(broken, "undated").read("key")
    assert_sentence(error, "no Date header")


def test_half_of_the_credentials() -> None:
    with pytest.raises(StoreDown) as error:
        s3_store({"AWS_ACCESS_KEY_ID": "somebody", "AWS_REGION": "us-east-1"}, "some-bucket")
    assert_sentence(error, "set up wrongly", "AWS_SECRET_ACCESS_KEY")


def test_an_endpoint_that_is_none() -> None:
    with pytest.raises(StoreDown) as error:
        s3_store(KEYS | {"AWS_ENDPOINT_URL_S3": "localhost:9000"}, "some-bucket").read("key")
    assert_sentence(error, "no URL", "AWS_ENDPOINT_URL_S3")


@EVERY_CALL
def test_no_credentials(call: str) -> None:
    nowhere = dict.fromkeys(("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"), os.devnull)
    nobody = nowhere | {"AWS_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}
    with pytest.raises(AccessDenied) as error:
        CALLS[call](s3_store(nobody, "some-bucket"))
    assert_sentence(error, "no credentials", "AWS_ACCESS_KEY_ID")


def test_the_region_is_that_of_aws_region() -> None:
    keys = {"AWS_ACCESS_KEY_ID": "somebody", "AWS_SECRET_ACCESS_KEY": "something"}
    url, _ = s3_store(keys | {"AWS_REGION": "eu-west-1"}, "some-bucket").presigned_url("key", 60)
    assert "%2Feu-west-1%2Fs3%2F" in url
