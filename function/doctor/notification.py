"""Whether the prompt buckets announce new objects, and with `--fix` that they do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from function.config import Settings
from function.doctor.cluster import Cluster
from function.doctor.finding import Check, Finding
from function.doctor.minio_notices import MinioNotices
from function.doctor.notices import Notices, NotSet, Rule, S3Notices, untold
from function.doctor.storage import Storage
from function.errors import BucketMissing, StoreDown

ANNOUNCED = Check(
    "notification-set",
    "each prompt bucket announces Put, Post, Copy and CompleteMultipartUpload of every key that is a prompt",
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
    "aws": "aws sqs create-queue --queue-name darkroom",
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
        notices: Notices = (MinioNotices if self._storage.kind in ("minio", "rustfs") else S3Notices)(self._storage)
        if not self._settings.prompt_buckets:
            yield ANNOUNCED.skipped("DARKROOM_PROMPT_BUCKETS is not set, so nothing has to be announced")
        for bucket in self._settings.prompt_buckets:
            try:
                yield self._of(bucket, notices)
            except BucketMissing as missing:
                yield ANNOUNCED.unknown(str(missing))
            except StoreDown as error:
                yield ANNOUNCED.unknown(f"what bucket {bucket} announces cannot be seen: {error}")

    def _of(self, bucket: str, notices: Notices) -> Finding:
        missing = self._missing(bucket, notices)
        if not missing:
            return ANNOUNCED.ok(f"bucket {bucket} announces {self._what}, to {self._told(bucket, notices)}")
        said = (
            f"bucket {bucket} does not announce {', '.join(sorted(_short(event) for event in missing))} of {self._what}"
        )
        if not self._fix:
            return ANNOUNCED.wrong(said, f"darkroom doctor --fix{f' --arn {self._arn}' if self._arn else ''}")
        known = (self._arn,) if self._arn else notices.targets()
        if len(known) != 1:
            there = f"there are {', '.join(known)}" if known else "the server names none to these credentials"
            return ANNOUNCED.wrong(f"{said}, and the target has to be named: {there}", self._naming(known))
        return self._set(
            bucket, notices, Rule(known[0], prefix=self._settings.prompt_prefix, suffix=self._settings.prompt_suffix)
        )

    def _set(self, bucket: str, notices: Notices, rule: Rule) -> Finding:
        try:
            notices.put(bucket, rule)
        except NotSet as refused:
            said = f"bucket {bucket} does not take a rule for {rule.arn}: {refused}"
            look = f"aws s3api get-bucket-notification-configuration --bucket {bucket}  # take out what overlaps"
            return ANNOUNCED.wrong(said, look if "overlap" in str(refused).lower() else self._making())
        if still := self._missing(bucket, notices):
            # A server that knows no notifications may take them for something else, and say yes.
            missing = ", ".join(sorted(still))
            said = f"bucket {bucket} took a rule for {rule.arn} and does not have it: {missing} is missing"
            return ANNOUNCED.wrong(said, self._making())
        return ANNOUNCED.ok(f"bucket {bucket} announces {self._what} from now on, to {rule.arn}")

    def _missing(self, bucket: str, notices: Notices) -> frozenset[str]:
        return untold(notices.rules(bucket), self._arn, self._settings.prompt_prefix, self._settings.prompt_suffix)

    def _told(self, bucket: str, notices: Notices) -> str:
        prefix, suffix = self._settings.prompt_prefix, self._settings.prompt_suffix
        arns = {rule.arn for rule in notices.rules(bucket)}
        return ", ".join(sorted(arn for arn in arns if not untold(notices.rules(bucket), arn, prefix, suffix)))

    @property
    def _what(self) -> str:
        prefix, suffix = self._settings.prompt_prefix, self._settings.prompt_suffix
        return f"new objects {prefix}*{suffix}" if prefix or suffix else "new objects"

    def _naming(self, known: Sequence[str]) -> str:
        if known:
            return f"darkroom doctor --fix --arn {known[0]}"
        shown = _SHOWN.get(self._family, "")
        return f"{shown + ' && ' if shown else ''}darkroom doctor --fix --arn $ARN"

    def _making(self) -> str:
        return _TARGETS[self._family].replace("$NAMESPACE", self._cluster.namespace)

    @property
    def _family(self) -> str:
        kind = self._storage.kind
        return "minio" if kind in ("minio", "rustfs") else "ceph" if kind == "ceph" else "aws"


def _short(event: str) -> str:
    return event.rpartition(":")[2]
