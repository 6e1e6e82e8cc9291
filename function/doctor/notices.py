"""A bucket's notification rules, as S3's own API has them: AWS, Ceph and whoever speaks it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from function.doctor.storage import Storage, code_of
from function.errors import AccessDenied, StoreDown

# Never `s3:ObjectCreated:*`, which in MinIO also says that tags or retention were changed.
EVENTS: Final = (
    "s3:ObjectCreated:Put",
    "s3:ObjectCreated:Post",
    "s3:ObjectCreated:Copy",
    "s3:ObjectCreated:CompleteMultipartUpload",
)
EVERY: Final = "s3:ObjectCreated:*"
# The id of the one rule that is ours, by which it is found again.
OURS: Final = "darkroom"
EVENTBRIDGE: Final = "EventBridge"


class NotSet(Exception):
    """The server did not take a rule; the message is what it says."""


@dataclass(frozen=True, slots=True)
class Rule:
    """To which target a bucket tells which events of objects whose keys begin and end so."""

    arn: str
    events: frozenset[str] = frozenset(EVENTS)
    prefix: str = ""
    suffix: str = ""
    id: str = OURS

    def covers(self, prefix: str, suffix: str) -> bool:
        """Whether it is about every key that begins and ends so."""
        return prefix.startswith(self.prefix) and suffix.endswith(self.suffix)


class Notices(Protocol):
    """The notification rules of buckets; every method raises `StoreDown` where it is refused."""

    def rules(self, bucket: str) -> list[Rule]: ...

    def targets(self) -> Sequence[str]:
        """The ARNs that rules may name, none if the server does not tell."""

    def put(self, bucket: str, rule: Rule) -> None:
        """Have this rule in the place of the one of its id, beside all others; `NotSet` where the server says no."""


def untold(rules: Iterable[Rule], arn: str | None, prefix: str, suffix: str) -> frozenset[str]:
    """The events that no target, or not that of `arn`, hears of all the keys that begin and end so."""
    heard: dict[str, set[str]] = {}
    for rule in rules:
        if rule.covers(prefix, suffix) and (arn is None or plain(rule.arn) == plain(arn)):
            heard.setdefault(plain(rule.arn), set()).update(EVENTS if EVERY in rule.events else rule.events)
    return min((frozenset(EVENTS) - events for events in heard.values()), key=len, default=frozenset(EVENTS))


def hearing(rules: Sequence[Rule], prefix: str, suffix: str) -> list[str]:
    """The targets that hear of every event of all those keys."""
    return [arn for arn in sorted({rule.arn for rule in rules}) if not untold(rules, arn, prefix, suffix)]


def plain(arn: str) -> str:
    """MinIO's with and without its region are the same."""
    return re.sub("^(arn:(?:minio|rustfs):sqs):[^:]*:", r"\1::", arn)


# Which part of a configuration names which kind of target, and how.
_PARTS: Final = {
    "sqs": ("QueueConfigurations", "QueueArn"),
    "sns": ("TopicConfigurations", "TopicArn"),
    "lambda": ("LambdaFunctionConfigurations", "LambdaFunctionArn"),
}


class S3Notices:
    """As boto3 reads and writes them."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def rules(self, bucket: str) -> list[Rule]:
        return _rules(self._read(bucket))

    def targets(self) -> Sequence[str]:
        return ()

    def put(self, bucket: str, rule: Rule) -> None:
        part, name = _PARTS.get((rule.arn.split(":") + [""] * 3)[2], _PARTS["sqs"])
        configuration = {
            kind: [one for one in rows if one.get("Id") != rule.id] if kind != "EventBridgeConfiguration" else rows
            for kind, rows in self._read(bucket).items()
        }
        filters = [("prefix", rule.prefix), ("suffix", rule.suffix)]
        ours = {
            "Id": rule.id,
            name: rule.arn,
            "Events": sorted(rule.events),
            "Filter": {"Key": {"FilterRules": [{"Name": key, "Value": value} for key, value in filters if value]}},
        }
        configuration[part] = [*configuration.get(part, ()), ours]
        try:
            with self._storage.translated(bucket, "s3:PutBucketNotification"):
                self._storage.client.put_bucket_notification_configuration(
                    Bucket=bucket, NotificationConfiguration=configuration
                )
        except AccessDenied:
            raise
        except StoreDown as error:
            if not code_of(error.__cause__):
                raise
            said = getattr(error.__cause__, "response", {}).get("Error", {}).get("Message") or error
            raise NotSet(str(said)) from error

    def _read(self, bucket: str) -> dict[str, Any]:
        with self._storage.translated(bucket, "s3:GetBucketNotification"):
            found = self._storage.client.get_bucket_notification_configuration(Bucket=bucket)
        return {kind: rows for kind, rows in found.items() if kind != "ResponseMetadata"}


def _rules(configuration: Mapping[str, Any]) -> list[Rule]:
    found = []
    for part, name in _PARTS.values():
        for row in configuration.get(part, ()):
            filters = {
                one["Name"].lower(): one["Value"] for one in row.get("Filter", {}).get("Key", {}).get("FilterRules", ())
            }
            found.append(
                Rule(
                    row[name],
                    frozenset(row["Events"]),
                    filters.get("prefix", ""),
                    filters.get("suffix", ""),
                    row.get("Id", ""),
                )
            )
    # EventBridge hears of everything; what it does with it is not the bucket's affair.
    if "EventBridgeConfiguration" in configuration:
        found.append(Rule(EVENTBRIDGE, frozenset({EVERY}), id=EVENTBRIDGE))
    return found
