"""Whether the prompt buckets announce new objects, and with `--fix` that they do."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence

from function.config import Settings
from function.doctor.cluster import Cluster
from function.doctor.finding import Check, Finding
from function.doctor.minio_notices import MinioNotices
from function.doctor.notices import OURS, Notices, NotSet, Rule, S3Notices, hearing, plain, untold
from function.doctor.storage import Storage
from function.errors import AccessDenied, BucketMissing, StoreDown

ANNOUNCED = Check(
    "notification-set",
    "each prompt bucket tells Darkroom of Put, Post, Copy and CompleteMultipartUpload of every key that is a prompt",
    "`darkroom doctor --fix`, with `--arn` where the target cannot be found",
)
# How a target is made, by the kind of store; `$ALIAS` is mc's name for the server.
_TARGETS = {
    "minio": (
        "mc admin config set $ALIAS notify_webhook:DARKROOM endpoint=http://intake.$NAMESPACE.svc.cluster.local/drop "
        "auth_token=$DARKROOM_DOOR_TOKEN queue_dir=/data/queue && mc admin service restart $ALIAS"
    ),
    "ceph": (
        "aws sns create-topic --name darkroom --endpoint-url $AWS_ENDPOINT_URL_S3 --attributes "
        '\'{"push-endpoint": "http://broker-ingress.knative-eventing.svc.cluster.local/$NAMESPACE/darkroom", '
        '"cloudevents": "true", "persistent": "true"}\''
    ),
    # S3 tries a queue before it names it to a bucket.
    "aws": "aws sqs create-queue --queue-name darkroom-prompts  # with its policy, see knative/policies/README.md",
}
_SHOWN = {
    "minio": "mc admin info --json $ALIAS | jq .info.sqsARN",
    "ceph": "aws sns list-topics --endpoint-url $AWS_ENDPOINT_URL_S3",
}


class Notification:
    """The rules of every prompt bucket. SeaweedFS has none: its filer tells of all buckets at once."""

    name = "notification"
    checks = (ANNOUNCED,)
    seconds = 20.0

    def __init__(self, storage: Storage, settings: Settings, cluster: Cluster, *, fix: bool, arn: str | None) -> None:
        self._storage = storage
        self._settings = settings
        self._cluster = cluster
        self._fix = fix
        self._arn = arn

    def run(self) -> Iterator[Finding]:
        self._storage.require()
        if self._storage.kind == "seaweedfs":
            yield ANNOUNCED.skipped(
                "SeaweedFS has no notifications of a bucket: [notification.webhook] of the filer's notification.toml "
                "tells of all, and whether it does cannot be asked"
            )
            return
        if not self._settings.prompt_buckets:
            yield ANNOUNCED.skipped("DARKROOM_PROMPT_BUCKETS is not set, so nothing has to be announced")
            return
        notices: Notices = (MinioNotices if self._storage.kind in ("minio", "rustfs") else S3Notices)(self._storage)
        known = notices.targets()
        for bucket in self._settings.prompt_buckets:
            try:
                yield self._of(bucket, notices, known)
            except BucketMissing as missing:
                yield ANNOUNCED.unknown(str(missing))
            except StoreDown as error:
                yield ANNOUNCED.unknown(f"what bucket {bucket} announces cannot be seen: {error}")

    def _of(self, bucket: str, notices: Notices, known: Sequence[str]) -> Finding:
        prefix, suffix = self._settings.prompt_prefix, self._settings.prompt_suffix
        rules = notices.rules(bucket)
        there = hearing(rules, prefix, suffix)
        ours = self._ours(rules, there, known)
        hear = [arn for arn in there if _among(arn, ours)]
        if hear and all(_among(arn, there) for arn in ours):
            return ANNOUNCED.ok(f"bucket {bucket} announces {self._what}, to {', '.join(hear)}")
        if there and not ours:
            return ANNOUNCED.unknown(
                f"bucket {bucket} announces {self._what} to {', '.join(there)}, of which nothing says that it is "
                "Darkroom; if it is, name it with --arn"
            )
        if not self._arn and (hear or any(rule.arn in there and _bears(rule) for rule in rules)):
            # After a move it may be the old one; or the server leaves out a target that is away.
            return ANNOUNCED.unknown(
                f"bucket {bucket} announces {self._what} to {', '.join(there)}, but Darkroom may be "
                f"{' or '.join(ours)}; name it with --arn"
            )
        missing = self._missing(rules, ours)
        said = f"bucket {bucket} does not announce {', '.join(map(_short, missing))} of {self._what}"
        if there:
            said += f" to {' or '.join(ours)}, only to {', '.join(there)}"
        if not self._fix:
            return ANNOUNCED.wrong(said, self._fixing(self._arn))
        if len(ours) != 1:
            which = f"there are {', '.join(ours or known)}" if known else "the server names none to these credentials"
            return ANNOUNCED.wrong(f"{said}, and the target has to be named: {which}", self._naming(ours or known))
        return self._set(bucket, notices, Rule(ours[0], prefix=prefix, suffix=suffix))

    def _ours(self, rules: Sequence[Rule], there: Sequence[str], known: Sequence[str]) -> Sequence[str]:
        """Where events have to go: as asked, else as our own rule has it, else by name, else the only one there is.

        What the server does not name among its targets, if it names any, is no such place, whatever a rule says.
        """
        if self._arn:
            return (self._arn,)
        set_before = [rule.arn for rule in rules if rule.id == OURS and (not known or _among(rule.arn, known))]
        # Every target that our pages and mends make has that name.
        named = [arn for arn in known or there if OURS in arn.lower()]
        return set_before or named or (known if len(known) == 1 else ())

    def _missing(self, rules: Sequence[Rule], ours: Sequence[str]) -> list[str]:
        prefix, suffix = self._settings.prompt_prefix, self._settings.prompt_suffix
        return min((sorted(untold(rules, arn, prefix, suffix)) for arn in ours or (None,)), key=len)

    def _set(self, bucket: str, notices: Notices, rule: Rule) -> Finding:
        try:
            notices.put(bucket, rule)
        except AccessDenied as denied:
            again = f"{self._fixing(rule.arn)}  # with keys that may do that"
            return ANNOUNCED.wrong(f"bucket {bucket} cannot be told to announce {self._what}: {denied}", again)
        except NotSet as refused:
            said = f"bucket {bucket} does not take a rule for {rule.arn}: {refused}"
            look = f"aws s3api get-bucket-notification-configuration --bucket {shlex.quote(bucket)}"
            overlaps = "overlap" in str(refused).lower()
            return ANNOUNCED.wrong(said, f"{look}  # take out what overlaps" if overlaps else self._making())
        if still := self._missing(notices.rules(bucket), (rule.arn,)):
            # A server that knows no notifications may take them for something else, and say yes.
            said = f"bucket {bucket} took a rule for {rule.arn} and does not have it: {', '.join(still)} is missing"
            return ANNOUNCED.wrong(said, self._making())
        return ANNOUNCED.ok(f"bucket {bucket} announces {self._what} from now on, to {rule.arn}")

    @property
    def _what(self) -> str:
        prefix, suffix = self._settings.prompt_prefix, self._settings.prompt_suffix
        return f"new objects {prefix}*{suffix}" if prefix or suffix else "new objects"

    @staticmethod
    def _fixing(arn: str | None) -> str:
        return f"darkroom doctor --fix{f' --arn {shlex.quote(arn)}' if arn else ''}"

    def _naming(self, known: Sequence[str]) -> str:
        if known:
            return self._fixing(known[0])
        shown = _SHOWN.get(self._family, "")
        return f"{shown + ' && ' if shown else ''}darkroom doctor --fix --arn $ARN"

    def _making(self) -> str:
        namespace = self._cluster.namespace
        # What Kubernetes takes for a name needs no quotes, wherever it stands.
        named = re.fullmatch("[a-z0-9-]+", namespace)
        return _TARGETS[self._family].replace("$NAMESPACE", namespace) if named else _TARGETS[self._family]

    @property
    def _family(self) -> str:
        kind = self._storage.kind
        return "minio" if kind in ("minio", "rustfs") else "ceph" if kind == "ceph" else "aws"


def _among(arn: str, arns: Sequence[str]) -> bool:
    return plain(arn) in map(plain, arns)


def _bears(rule: Rule) -> bool:
    """Whether a rule says by its id or its target's name that it is Darkroom's."""
    return rule.id == OURS or OURS in rule.arn.lower()


def _short(event: str) -> str:
    return event.rpartition(":")[2]
