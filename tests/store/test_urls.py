"""URLs of images: signed for the host that outsiders reach, for no longer than the credentials live; or public."""

from __future__ import annotations

import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import botocore.session
import pytest
from botocore.config import Config
from botocore.credentials import RefreshableCredentials

from function.demo.s3server import S3Server
from function.store import S3Store
from function.telling import PresignedUrls, PublicUrls
from tests.stores import new_bucket


def lent_client(server: S3Server, endpoint: str, seconds: float) -> object:
    """A client whose credentials end in so many seconds."""
    session: Any = botocore.session.get_session()
    session._credentials = RefreshableCredentials(  # noqa: SLF001  # botocore has no other way to lend credentials
        server.access_key,
        server.secret_key,
        token="",
        expiry_time=datetime.now(UTC) + timedelta(seconds=seconds),
        refresh_using=dict,
        method="test",
        advisory_timeout=0,
        mandatory_timeout=0,
    )
    return boto3.Session(botocore_session=session, region_name="us-east-1").client(
        "s3", endpoint_url=endpoint, config=Config(signature_version="s3v4")
    )


def test_urls_are_signed_for_the_public_host(seaweedfs: S3Server) -> None:
    bucket = new_bucket(seaweedfs)
    seaweedfs.client.put_object(Bucket=bucket, Key="a b+é.png", Body=b"picture")
    outside = seaweedfs.endpoint.replace("127.0.0.1", "localhost")
    public = boto3.client(
        "s3",
        endpoint_url=outside,
        aws_access_key_id=seaweedfs.access_key,
        aws_secret_access_key=seaweedfs.secret_key,
        region_name="us-east-1",
        config=Config(signature_version="s3v4"),
    )
    url = PresignedUrls(S3Store(seaweedfs.client, bucket, public), 60)("a b+é.png")["url"]
    assert url.startswith(outside)
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310  # our own server
        assert answer.read() == b"picture"
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(url.replace("localhost", "127.0.0.1"), timeout=10)  # noqa: S310  # "


@pytest.mark.parametrize(("asked", "lent", "given"), [(600, 100, 100), (60, 1000, 60)])
def test_urls_end_with_the_credentials(seaweedfs: S3Server, asked: int, lent: int, given: int) -> None:
    store = S3Store(lent_client(seaweedfs, seaweedfs.endpoint, lent), "images")
    told = PresignedUrls(store, asked)("a.png")
    (seconds,) = parse_qs(urlsplit(told["url"]).query)["X-Amz-Expires"]
    assert given - 5 <= int(seconds) <= given
    ends = datetime.fromisoformat(told["url_expires_at"])
    assert abs(ends - datetime.now(UTC) - timedelta(seconds=given)) < timedelta(seconds=6)


def test_public_urls_never_expire() -> None:
    assert PublicUrls("https://pictures.example/")("images/a b.png") == {
        "url": "https://pictures.example/images/a%20b.png"
    }
