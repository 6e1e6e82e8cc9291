"""The buckets: whether they are there, what expires in them, and what old versions do to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from function.config import Settings
from function.doctor.finding import Check, Finding
from function.doctor.storage import Storage
from function.errors import AccessDenied, BucketMissing, StoreDown
from function.layout import CLAIMS, RECORDS

THERE = Check("bucket-there", "every bucket of the settings is there", "`darkroom doctor --fix` makes it")
EXPIRY = Check(
    "bucket-expiry",
    "no lifecycle rule lets claims/ or records/ expire, or moves them to where they cannot be read",
    "the rule is taken out; `knative/policies/lifecycle.json` has rules that are right",
)
VERSIONS = Check(
    "bucket-versions",
    "the image bucket keeps no old versions, or a rule lets them expire: a claim is written every ten seconds",
    "a rule with `NoncurrentVersionExpiration`",
)
KEPT = (CLAIMS, RECORDS)
# Where an object has to be restored before it can be read.
_FROZEN = frozenset({"GLACIER", "DEEP_ARCHIVE"})
_OLD_VERSIONS = (
    '{"ID": "old-versions", "Status": "Enabled", "Filter": {"Prefix": ""}, '
    '"NoncurrentVersionExpiration": {"NoncurrentDays": 1}}'
)


class Buckets:
    """The image bucket and the prompt buckets."""

    name = "buckets"
    checks = (THERE, EXPIRY, VERSIONS)
    seconds = 20.0

    def __init__(self, storage: Storage, settings: Settings, *, fix: bool) -> None:
        self._storage = storage
        self._images = settings.image_bucket
        self._prompts = settings.prompt_buckets
        self._fix = fix

    def run(self) -> Iterator[Finding]:
        self._storage.require()
        if not self._prompts:
            yield THERE.skipped("DARKROOM_PROMPT_BUCKETS is not set, so there is no bucket to drop prompts into")
        for bucket in dict.fromkeys((self._images, *self._prompts)):
            yield self._there(bucket)
        try:
            with self._storage.translated(self._images, "s3:GetLifecycleConfiguration"):
                rules = self._rules()
            yield from self._expiry(rules)
            with self._storage.translated(self._images, "s3:GetBucketVersioning"):
                versioning = self._storage.client.get_bucket_versioning(Bucket=self._images).get("Status")
            yield self._versions(versioning, rules)
        except BucketMissing:
            return
        except StoreDown as error:
            yield EXPIRY.unknown(f"what expires in bucket {self._images} cannot be seen: {error}")

    def _there(self, bucket: str) -> Finding:
        make = f"aws s3api create-bucket --bucket {bucket}"
        try:
            next(self._storage.bucket(bucket).list("claims/check-store-"), None)
        except BucketMissing:
            if not self._fix:
                return THERE.wrong(f"bucket {bucket} does not exist", "darkroom doctor --fix")
            return self._made(bucket, make)
        except AccessDenied:
            return THERE.unknown(f"whether there is a bucket {bucket} is told only to who may list it")
        return THERE.ok(f"bucket {bucket} is there")

    def _made(self, bucket: str, make: str) -> Finding:
        region = self._storage.client.meta.region_name
        # AWS wants to hear of every region but its first.
        elsewhere = self._storage.kind == "aws" and region != "us-east-1"
        where: dict[str, Any] = {"CreateBucketConfiguration": {"LocationConstraint": region}} if elsewhere else {}
        try:
            with self._storage.translated(bucket, "s3:CreateBucket"):
                self._storage.client.create_bucket(Bucket=bucket, **where)
        except StoreDown as error:
            return THERE.wrong(f"bucket {bucket} could not be made: {error}", make)
        return THERE.ok(f"bucket {bucket} was made")

    def _rules(self) -> list[Mapping[str, Any]]:
        client = self._storage.client
        try:
            found: list[Mapping[str, Any]] = client.get_bucket_lifecycle_configuration(Bucket=self._images)["Rules"]
        except client.exceptions.ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchLifecycleConfiguration":
                raise
            return []
        return [rule for rule in found if rule["Status"] == "Enabled"]

    def _expiry(self, rules: list[Mapping[str, Any]]) -> Iterator[Finding]:
        harmful = [rule for rule in rules if any(_concerns(rule, prefix) for prefix in KEPT) and _takes_away(rule)]
        for rule in harmful:
            lost = " and ".join(prefix for prefix in KEPT if _concerns(rule, prefix))
            what = f"the lifecycle rule {rule.get('ID', 'without an ID')} of bucket {self._images} takes away {lost}"
            yield EXPIRY.wrong(
                f"{what}, after which requests are drawn again", self._without(rule, alone=len(rules) == 1)
            )
        if not harmful:
            seen = f"of {len(rules)} lifecycle rules none concerns {' or '.join(KEPT)}"
            yield EXPIRY.ok(
                seen if rules else "nothing expires; knative/policies/lifecycle.json has rules for what may"
            )

    def _without(self, rule: Mapping[str, Any], *, alone: bool) -> str:
        if alone:
            return f"aws s3api delete-bucket-lifecycle --bucket {self._images}"
        # Disabled rules stay with the others.
        return (
            f"aws s3api get-bucket-lifecycle-configuration --bucket {self._images} "
            f"--query '{{Rules: Rules[?ID!=`{rule.get('ID')}`]}}' > rules.json && "
            f"aws s3api put-bucket-lifecycle-configuration --bucket {self._images} "
            "--lifecycle-configuration file://rules.json"
        )

    def _versions(self, versioning: str | None, rules: list[Mapping[str, Any]]) -> Finding:
        if versioning != "Enabled":
            return VERSIONS.ok(f"bucket {self._images} keeps no old versions")
        if any(_concerns(rule, CLAIMS) and "NoncurrentVersionExpiration" in rule for rule in rules):
            return VERSIONS.ok(f"bucket {self._images} keeps old versions, and a rule lets them expire")
        what = (
            f"bucket {self._images} keeps every version of every claim for ever: one for each ten seconds of a render"
        )
        return VERSIONS.wrong(what, self._with(_OLD_VERSIONS, alone=not rules))

    def _with(self, rule: str, *, alone: bool) -> str:
        put = f"aws s3api put-bucket-lifecycle-configuration --bucket {self._images} --lifecycle-configuration "
        if alone:
            return f"{put}'{{\"Rules\": [{rule}]}}'"
        get = f"aws s3api get-bucket-lifecycle-configuration --bucket {self._images}"
        return f"{get} | jq '{{Rules: (.Rules + [{rule}])}}' > rules.json && {put}file://rules.json"


def _concerns(rule: Mapping[str, Any], prefix: str) -> bool:
    """Whether a rule may match something below a prefix; nothing of Darkroom's is tagged."""
    chosen = rule.get("Filter", {})
    both = chosen.get("And", {})
    if "Tag" in chosen or both.get("Tags"):
        return False
    start = str(rule.get("Prefix") or chosen.get("Prefix") or both.get("Prefix") or "")
    return prefix.startswith(start) or start.startswith(prefix)


def _takes_away(rule: Mapping[str, Any]) -> bool:
    expiry = rule.get("Expiration", {})
    frozen = any(step.get("StorageClass") in _FROZEN for step in rule.get("Transitions", ()))
    return "Days" in expiry or "Date" in expiry or frozen
