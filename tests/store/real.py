"""The store's adapter on a real server, made the way the function makes it: from the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from typing import Any

import boto3
import pytest

from function.store import S3Store, s3_client


def s3_store(environment: Mapping[str, str], bucket: str) -> S3Store:
    """A store on `bucket` of the server that `environment` names, as in `S3Server.environment`."""
    return S3Store(_client(frozenset(environment.items())), bucket)


@cache
def _client(environment: frozenset[tuple[str, str]]) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in environment:
            patch.setenv(name, value)
        # boto3 keeps the first credentials that it finds for the whole process; here every server has its own.
        boto3.setup_default_session()
        return s3_client()
