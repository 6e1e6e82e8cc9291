"""A store whose bucket has the name that the dialects' samples speak of, with sound and damaged prompt files in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from function.demo.s3server import S3Server
from function.demo.seaweedfs import SeaweedFS
from tests.fuzz.inputs import FILES, file_body, file_name
from tests.stores import running


@pytest.fixture(scope="package")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    for server in running(SeaweedFS(tmp_path_factory.mktemp("fuzz"), ["prompts"])):
        for number in range(FILES):
            server.client.put_object(Bucket="prompts", Key=file_name(number), Body=file_body(number))
        yield server
