"""The buckets: whether they are there, what expires in them, and what old versions do to them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from function.config import Settings
from function.doctor.finding import Check, Finding
from function.doctor.storage import Storage, code_of
from function.errors import AccessDenied, BucketMissing, StoreDown
from function.layout import CLAIMS, RECORDS

Rule = Mapping[str, Any]

THERE = Check("bucket-there", "every bucket of the settings is there", "`darkroom doctor --fix` makes it")
EXPIRY = Check(
    "bucket-expiry",
    "no lifecycle rule lets claims/ or records/ expire, or moves them to where they cannot be read",
    "the rule is taken out, with all others kept; `knative/policies/lifecycle.json` has rules that are right",
)
VERSIONS = Check(
    "bucket-versions",
    "the image bucket keeps no old versions, or a rule lets them expire: a claim is written every ten seconds",
    "a rule with `NoncurrentVersionExpiration`, beside all others",
)
KEPT = (CLAIMS, RECORDS)
MAKE = "darkroom doctor --fix"
# Where an object has to be restored before it can be read.
_FROZEN = frozenset({"GLACIER", "DEEP_ARCHIVE"})
# In bytes; no claim is as large, and no record of what was drawn.
_LARGE: Final = 1 << 20
_OLD_CLAIMS: Final[Rule] = {
    "ID": "darkroom-old-claims",
    "Status": "Enabled",
    "Filter": {"Prefix": CLAIMS},
    "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
}


class Buckets:
    """The image bucket, the prompt buckets and those that prompts may take pictures from."""

    name = "buckets"
    checks = (THERE, EXPIRY, VERSIONS)
    seconds = 20.0

    def __init__(self, storage: Storage, settings: Settings, *, fix: bool) -> None:
        self._storage = storage
        self._images = settings.image_bucket
        self._prompts = settings.prompt_buckets
        self._inputs = settings.input_buckets
        self._fix = fix

    def run(self) -> Iterator[Finding]:
        self._storage.require()
        if not self._prompts:
            yield THERE.skipped("DARKROOM_PROMPT_BUCKETS is not set, so there is no bucket to drop prompts into")
        for bucket in dict.fromkeys((self._images, *self._prompts, *self._inputs)):
            yield self._there(bucket)
        try:
            yield from self._kept()
        except BucketMissing:
            return

    def _there(self, bucket: str) -> Finding:
        try:
            next(self._storage.bucket(bucket).list("claims/check-store-"), None)
        except BucketMissing:
            return self._made(bucket) if self._fix else THERE.wrong(f"bucket {bucket} does not exist", MAKE)
        except AccessDenied:
            return THERE.unknown(f"whether there is a bucket {bucket} is told only to who may list it")
        except StoreDown as error:
            return THERE.unknown(f"whether there is a bucket {bucket} cannot be seen: {error}")
        return THERE.ok(f"bucket {bucket} is there")

    def _made(self, bucket: str) -> Finding:
        region = self._storage.client.meta.region_name
        # AWS wants to hear of every region but its first, which it is, too, where none is named.
        elsewhere = self._storage.kind == "aws" and region not in ("", "aws-global", "us-east-1")
        where: dict[str, Any] = {"CreateBucketConfiguration": {"LocationConstraint": region}} if elsewhere else {}
        try:
            with self._storage.translated(bucket, "s3:CreateBucket"):
                self._storage.client.create_bucket(Bucket=bucket, **where)
        except StoreDown as error:
            said = ["--create-bucket-configuration", f"LocationConstraint={region}"] if elsewhere else []
            make = shlex.join(["aws", "s3api", "create-bucket", "--bucket", bucket, *said])
            return THERE.wrong(f"bucket {bucket} could not be made: {error}", make)
        return THERE.ok(f"bucket {bucket} was made")

    def _kept(self) -> Iterator[Finding]:
        """What becomes of claims, records and their old versions."""
        try:
            rules = self._rules()
        except BucketMissing:
            raise
        except StoreDown as error:
            yield EXPIRY.unknown(f"what expires in bucket {self._images} cannot be seen: {error}")
            return
        versions: str | None = None
        unseen: StoreDown | None = None
        try:
            with self._storage.translated(self._images, "s3:GetBucketVersioning"):
                versions = self._storage.client.get_bucket_versioning(Bucket=self._images).get("Status")
        except StoreDown as error:
            unseen = error
        harmful = [rule for rule in rules if _is_on(rule) and _takes_away(rule) and any(_lost(rule))]
        left = [rule for rule in rules if rule not in harmful]
        if versions == "Enabled" and not any(map(_clears, left)):
            left = [*(rule for rule in left if rule.get("ID") != _OLD_CLAIMS["ID"]), _OLD_CLAIMS]
        # One for whatever is wrong, for what sets a rule replaces all others.
        mend = self._setting(left)
        for rule in harmful:
            what = f"the lifecycle rule {rule.get('ID') or 'without an ID'} of bucket {self._images} takes away"
            yield EXPIRY.wrong(f"{what} {' and '.join(_lost(rule))}, after which requests are drawn again", mend)
        if not harmful:
            seen = f"of {len(rules)} lifecycle rules none takes away {' or '.join(KEPT)}"
            yield EXPIRY.ok(
                seen if rules else "nothing expires; knative/policies/lifecycle.json has rules for what may"
            )
        if unseen:
            yield VERSIONS.unknown(f"whether bucket {self._images} keeps old versions cannot be seen: {unseen}")
        elif versions != "Enabled":
            yield VERSIONS.ok(f"bucket {self._images} keeps no old versions")
        elif any(map(_clears, rules)):
            yield VERSIONS.ok(f"bucket {self._images} keeps old versions, and a rule lets those of claims expire")
        else:
            what = f"bucket {self._images} keeps every version of every claim for ever"
            yield VERSIONS.wrong(f"{what}: one for each ten seconds of a render", mend)

    def _rules(self) -> list[Rule]:
        """All of them, for those that are switched off are not to be lost."""
        client = self._storage.client
        try:
            with self._storage.translated(self._images, "s3:GetLifecycleConfiguration"):
                return list(client.get_bucket_lifecycle_configuration(Bucket=self._images).get("Rules", ()))
        except StoreDown as error:
            if code_of(error.__cause__) != "NoSuchLifecycleConfiguration":
                raise
            return []

    def _setting(self, rules: Sequence[Rule]) -> str:
        """The command after which a bucket has these rules and no others."""
        if not rules:
            return shlex.join(["aws", "s3api", "delete-bucket-lifecycle", "--bucket", self._images])
        # The dates of rules are the only things that JSON has no word for.
        whole = json.dumps({"Rules": rules}, default=lambda date: date.isoformat())
        put = ["aws", "s3api", "put-bucket-lifecycle-configuration", "--bucket", self._images]
        return shlex.join([*put, "--lifecycle-configuration", whole])


def _is_on(rule: Rule) -> bool:
    return rule.get("Status") == "Enabled"


def _chosen(rule: Rule) -> tuple[str, Rule]:
    """The prefix of what a rule is about, and every other condition."""
    conditions = dict(rule.get("Filter") or {})
    conditions |= conditions.pop("And", {})
    prefix = str(rule.get("Prefix") or conditions.get("Prefix") or "")
    return prefix, {name: value for name, value in conditions.items() if name != "Prefix" and value}


def _lost(rule: Rule) -> list[str]:
    """Below which of the prefixes a rule may match something; what Darkroom keeps there is small and has no tags."""
    prefix, more = _chosen(rule)
    if "Tag" in more or "Tags" in more or more.get("ObjectSizeGreaterThan", 0) >= _LARGE:
        return []
    return [kept for kept in KEPT if kept.startswith(prefix) or prefix.startswith(kept)]


def _takes_away(rule: Rule) -> bool:
    expiry = rule.get("Expiration", {})
    frozen = any(step.get("StorageClass") in _FROZEN for step in rule.get("Transitions", ()))
    return "Days" in expiry or "Date" in expiry or frozen


def _clears(rule: Rule) -> bool:
    """Whether a rule lets the old versions of every claim expire."""
    prefix, more = _chosen(rule)
    return _is_on(rule) and "NoncurrentVersionExpiration" in rule and CLAIMS.startswith(prefix) and not more
