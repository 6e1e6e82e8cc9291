"""One `darkroom render` on a real SeaweedFS for all tests of its doors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from function.demo.s3server import S3Server
from tests.darkroom import DarkroomProcess
from tests.stores import new_bucket


@dataclass(frozen=True)
class Doors:
    """A ready process with its buckets."""

    process: DarkroomProcess
    server: S3Server
    images: str
    prompts: str

    def keys(self, prefix: str = "") -> list[str]:
        """Everything in the image bucket below `prefix`."""
        pages = self.server.client.get_paginator("list_objects_v2").paginate(Bucket=self.images, Prefix=prefix)
        return [row["Key"] for page in pages for row in page.get("Contents", ())]


@pytest.fixture(scope="package")
def doors(seaweedfs: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    """A `darkroom render` that is ready."""
    images, prompts = new_bucket(seaweedfs, "images"), new_bucket(seaweedfs, "prompts")
    environment = {"DARKROOM_IMAGE_BUCKET": images, "DARKROOM_PROMPT_BUCKETS": prompts, "DARKROOM_PROMPT_PREFIX": "in/"}
    with DarkroomProcess("render", seaweedfs, tmp_path_factory.mktemp("render"), environment) as process:
        yield Doors(process.wait_ready(), seaweedfs, images, prompts)
