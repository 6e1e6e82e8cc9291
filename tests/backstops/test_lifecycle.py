"""knative/policies/lifecycle.json: a store takes it, and it lets nothing expire that Darkroom still counts on."""

from __future__ import annotations

import json
from typing import Any

from function import layout
from function.config import Settings
from tests.darkroom import REPOSITORY
from tests.servers.minio import Minio
from tests.stores import new_bucket

RULES: list[dict[str, Any]] = json.loads((REPOSITORY / "knative/policies/lifecycle.json").read_text("utf-8"))["Rules"]
DAY = 86_400


def test_a_store_takes_the_rules_as_they_are(minio: Minio) -> None:
    bucket = new_bucket(minio)
    minio.client.put_bucket_lifecycle_configuration(
        Bucket=bucket,
        LifecycleConfiguration={"Rules": RULES},  # type: ignore[typeddict-item]  # S3's format, out of a file
    )
    held = minio.client.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    assert sorted(held, key=lambda rule: rule["ID"]) == sorted(RULES, key=lambda rule: rule["ID"])


def test_only_what_may_go_expires_and_only_after_the_horizon() -> None:
    days = {rule["Filter"]["Prefix"]: rule["Expiration"]["Days"] for rule in RULES}
    assert days.keys() == {layout.DEAD, layout.FILES, layout.TOLD}
    assert days.keys() < set(layout.OWN)
    assert len(RULES) == len(days)
    # A day more, for stores count from the next midnight on and clocks differ.
    assert all(limit * DAY >= Settings.from_environment({}).horizon + DAY for limit in days.values())
    assert all(rule.keys() == {"ID", "Filter", "Status", "Expiration"} for rule in RULES)
    assert all(rule["Filter"].keys() == {"Prefix"} and rule["Status"] == "Enabled" for rule in RULES)
