"""Notifications, looked at and set at a real MinIO: by MinIO's own client, and as Ceph and AWS have it set."""

from __future__ import annotations

import json
import queue
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import pytest
from minio import MinioAdmin
from minio.credentials.providers import StaticProvider

from function.demo.process import free_ports
from function.demo.s3server import Webhook
from function.doctor.notices import EVENTS, Rule, untold
from tests.doctor.running import Report, report
from tests.faults import Answered, Asked, Fault, HangUp, Onward
from tests.faults.proxy import FaultProxy
from tests.receiver import Delivery, receiver
from tests.servers.minio import KafkaTarget, Minio
from tests.stores import new_bucket, running

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import NotificationConfigurationTypeDef, QueueConfigurationTypeDef

ARN: Final = "arn:minio:sqs::DARKROOM:webhook"
# Somebody else's, which our own neither covers nor overlaps.
FOREIGN: Final[list[QueueConfigurationTypeDef]] = [
    {
        "Id": "theirs",
        "QueueArn": ARN,
        "Events": ["s3:ObjectRemoved:Delete"],
        "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "in/"}, {"Name": "suffix", "Value": ".old"}]}},
    },
    {"Id": "also-theirs", "QueueArn": ARN, "Events": ["s3:ObjectRemoved:DeleteMarkerCreated"]},
]


@dataclass(frozen=True)
class House:
    """A MinIO with one webhook target, which no bucket uses yet, and what comes out of it."""

    minio: Minio
    heard: queue.Queue[Delivery]

    def settings(self, bucket: str) -> dict[str, str]:
        filters = {"DARKROOM_PROMPT_PREFIX": "in/", "DARKROOM_PROMPT_SUFFIX": ".json"}
        return self.minio.environment | {"DARKROOM_PROMPT_BUCKETS": bucket} | filters

    def rules(self, bucket: str) -> dict[str, Any]:
        """What a bucket has now, by id."""
        found = self.minio.client.get_bucket_notification_configuration(Bucket=bucket)
        return {row["Id"]: row for row in found.get("QueueConfigurations", ())}

    def put(self, bucket: str, key: str) -> None:
        self.minio.client.put_object(Bucket=bucket, Key=key, Body=b"{}")

    def next(self) -> str:
        """What the next delivery is about."""
        body = json.loads(self.heard.get(timeout=120).body)
        return f"{body['EventName']} {body['Key']}"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    (port,) = free_ports(1)
    webhook = Webhook(f"http://127.0.0.1:{port}/drop", "token", buckets=())
    with receiver(port) as heard:
        for minio in running(Minio(tmp_path_factory.mktemp("minio"), webhook=webhook)):
            yield House(minio, heard)


def bucket_with_foreign_rules(house: House) -> str:
    bucket = new_bucket(house.minio, "prompts")
    configuration: NotificationConfigurationTypeDef = {"QueueConfigurations": FOREIGN}
    house.minio.client.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=configuration)
    return bucket


def fixed(settings: Mapping[str, str], *more: str) -> Report:
    return report(settings, "notification", options=["--fix", *more])


def test_fix_sets_what_is_missing_beside_what_is_there_and_a_drop_arrives(house: House) -> None:
    bucket = bucket_with_foreign_rules(house)
    settings = house.settings(bucket)
    foreign = house.rules(bucket)

    said = report(settings, "notification")
    assert said.sentences() == [
        f"bucket {bucket} does not announce CompleteMultipartUpload, Copy, Post, Put of new objects in/*.json"
    ]
    assert said.mends("notification-set") == ["darkroom doctor --fix"]
    assert house.rules(bucket) == foreign, "something was changed without --fix"

    assert fixed(settings).sentences("ok") == [f"bucket {bucket} announces new objects in/*.json from now on, to {ARN}"]
    ours = house.rules(bucket)
    assert {name: ours[name] for name in foreign} == foreign, "a foreign rule was changed"
    assert set(ours) == {*foreign, "darkroom"}
    assert set(ours["darkroom"]["Events"]) == set(EVENTS)
    assert sorted((row["Name"], row["Value"]) for row in ours["darkroom"]["Filter"]["Key"]["FilterRules"]) == [
        ("prefix", "in/"),
        ("suffix", ".json"),
    ]

    # What is not to be announced would come first or in between, for MinIO's queue keeps the order.
    house.put(bucket, "out/a.json")
    house.put(bucket, "in/a.txt")
    house.put(bucket, "in/a.json")
    house.minio.client.put_object_tagging(Bucket=bucket, Key="in/a.json", Tagging={"TagSet": []})
    house.put(bucket, "in/b.json")
    assert [house.next(), house.next()] == [
        f"s3:ObjectCreated:Put {bucket}/in/a.json",
        f"s3:ObjectCreated:Put {bucket}/in/b.json",
    ]

    assert fixed(settings).sentences("ok") == [f"bucket {bucket} announces new objects in/*.json, to {ARN}"]
    assert house.rules(bucket) == ours, "a second --fix changes something"

    # Without the filters, the same rule is too narrow, and is the one that is changed.
    wider = settings | {"DARKROOM_PROMPT_PREFIX": "", "DARKROOM_PROMPT_SUFFIX": ""}
    assert report(wider, "notification").code == 1
    assert fixed(wider).sentences("ok") == [f"bucket {bucket} announces new objects from now on, to {ARN}"]
    widened = house.rules(bucket)
    assert {name: widened[name] for name in foreign} == foreign
    assert set(widened) == {*foreign, "darkroom"}
    house.put(bucket, "out/a.json")
    assert house.next() == f"s3:ObjectCreated:Put {bucket}/out/a.json"


def as_ceph(asked: Asked, onward: Onward) -> Answered:
    """The same S3, from a server that calls itself another."""
    answer = onward(asked)
    return replace(answer, headers=answer.headers | {"Server": "Ceph Object Gateway (tentacle)"})


@contextmanager
def calling_itself_ceph(minio: Minio) -> Iterator[str]:
    with FaultProxy(minio) as proxy, proxy.injecting(Fault(as_ceph)):
        yield proxy.url


def test_without_minios_client_it_is_the_same_but_for_the_target(house: House) -> None:
    bucket = bucket_with_foreign_rules(house)
    foreign = house.rules(bucket)
    with calling_itself_ceph(house.minio) as url:
        settings = house.settings(bucket) | {"AWS_ENDPOINT_URL_S3": url}
        unnamed = fixed(settings)
        assert "the target has to be named" in unnamed.sentences()[0]
        assert unnamed.mends("notification-set")[0].endswith("darkroom doctor --fix --arn $ARN")
        assert house.rules(bucket) == foreign
        assert fixed(settings, "--arn", ARN).sentences() == []
        ours = house.rules(bucket)
        assert {name: ours[name] for name in foreign} == foreign
        assert set(ours["darkroom"]["Events"]) == set(EVENTS)
        assert fixed(settings, "--arn", ARN).sentences() == []
        assert house.rules(bucket) == ours
        refused = fixed(settings, "--arn", "arn:minio:sqs::NOBODY:webhook")
        assert refused.code == 1
        assert (
            "does not take a rule for arn:minio:sqs::NOBODY:webhook: A specified destination ARN"
            in refused.sentences()[0]
        )
        assert refused.mends("notification-set")[0].startswith("aws sns create-topic --name darkroom ")
        assert house.rules(bucket) == ours
    house.put(bucket, "in/a.json")
    assert house.next() == f"s3:ObjectCreated:Put {bucket}/in/a.json"


def renamed(asked: Asked, onward: Onward) -> Answered:
    """The target of every rule is called INDEXER."""
    answer = onward(asked)
    return replace(answer, body=answer.body.replace(b":DARKROOM:", b":INDEXER:"))


def test_events_that_go_elsewhere_are_no_announcement(house: House) -> None:
    bucket, indexer = new_bucket(house.minio, "prompts"), "arn:minio:sqs::INDEXER:webhook"
    everything: NotificationConfigurationTypeDef = {
        "QueueConfigurations": [{"Id": "theirs", "QueueArn": ARN, "Events": ["s3:ObjectCreated:*"]}]
    }
    house.minio.client.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=everything)
    before = house.rules(bucket)
    # By its name it is Darkroom's, though nobody says so.
    assert report(house.settings(bucket), "notification").states("notification-set") == {"ok"}
    # But where another is named, its name is nothing.
    (named,) = report(house.settings(bucket), "notification", options=["--arn", indexer]).sentences()
    assert named.endswith(f"of new objects in/*.json to {indexer}, only to {ARN}")
    unproven = "of which nothing says that it is Darkroom; if it is, name it with --arn"
    with FaultProxy(house.minio) as proxy, proxy.injecting(Fault(as_ceph), Fault(renamed, "GET")):
        settings = house.settings(bucket) | {"AWS_ENDPOINT_URL_S3": proxy.url}
        assert fixed(settings).sentences("unknown") == [
            f"bucket {bucket} announces new objects in/*.json to {indexer}, {unproven}"
        ]
        assert report(settings, "notification", options=["--arn", indexer]).states("notification-set") == {"ok"}
        (said,) = report(settings, "notification", options=["--arn", ARN]).sentences()
    assert said.endswith(f"of new objects in/*.json to {ARN}, only to {indexer}")
    assert house.rules(bucket) == before


def before_a_move(asked: Asked, onward: Onward) -> Answered:
    """Every rule names the target of before, which the server does not have any more."""
    answer = onward(asked)
    old = answer.body.replace(b":DARKROOM:webhook", b":DARKROOM:kafka")
    return replace(answer, body=old) if "notification" in asked.path else answer


def test_the_rule_of_before_a_move_is_no_announcement(house: House) -> None:
    bucket, old = new_bucket(house.minio, "prompts"), "arn:minio:sqs::DARKROOM:kafka"
    assert fixed(house.settings(bucket)).sentences() == []
    before = house.rules(bucket)
    with FaultProxy(house.minio) as proxy, proxy.injecting(Fault(before_a_move, "GET")):
        settings = house.settings(bucket) | {"AWS_ENDPOINT_URL_S3": proxy.url}
        assert fixed(settings).sentences("unknown") == [
            f"bucket {bucket} announces new objects in/*.json to {old}, but Darkroom may be {ARN}; name it with --arn"
        ]
        (said,) = report(settings, "notification", options=["--arn", ARN]).sentences()
    assert said.endswith(f"of new objects in/*.json to {ARN}, only to {old}")
    assert house.rules(bucket) == before


def test_of_two_that_may_be_darkroom_one_has_to_be_named(tmp_path: Path) -> None:
    webhook = Webhook("http://127.0.0.1:9/drop", "token", buckets=())
    kafka = KafkaTarget("127.0.0.1:9", "drops", buckets=())
    for minio in running(Minio(tmp_path, webhook=webhook, kafka=kafka)):
        bucket = new_bucket(minio, "prompts")
        settings = minio.environment | {"DARKROOM_PROMPT_BUCKETS": bucket}
        unnamed = fixed(settings)
        assert "the target has to be named: there are " in unnamed.sentences()[0]
        theirs: NotificationConfigurationTypeDef = {
            "QueueConfigurations": [{"Id": "theirs", "QueueArn": ARN, "Events": ["s3:ObjectCreated:*"]}]
        }
        minio.client.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=theirs)
        (said,) = fixed(settings).sentences("unknown")
        assert re.search(f"to {ARN}, but Darkroom may be .* or .*; name it with --arn", said)
        assert report(settings, "notification", options=["--arn", ARN]).states("notification-set") == {"ok"}
        # Our own rule says which.
        ours: NotificationConfigurationTypeDef = {
            "QueueConfigurations": [{"Id": "darkroom", "QueueArn": ARN, "Events": ["s3:ObjectCreated:*"]}]
        }
        minio.client.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=ours)
        assert fixed(settings).states("notification-set") == {"ok"}


def hung_up(asked: Asked, onward: Onward) -> Answered:
    if "?notification" in asked.path:
        raise HangUp
    return onward(asked)


def test_rules_that_cannot_be_read_are_said_of_their_bucket(house: House) -> None:
    bucket = new_bucket(house.minio, "prompts")
    with FaultProxy(house.minio) as proxy, proxy.injecting(Fault(hung_up)):
        said = report(house.settings(bucket) | {"AWS_ENDPOINT_URL_S3": proxy.url}, "notification")
    (sentence,) = said.sentences("unknown")
    assert sentence.startswith(f"what bucket {bucket} announces cannot be seen: object storage does not answer: ")


def test_who_may_not_see_the_targets_names_one(house: House, tmp_path: Path) -> None:
    bucket = bucket_with_foreign_rules(house)
    admin = MinioAdmin(
        endpoint=urlsplit(house.minio.endpoint).netloc,
        credentials=StaticProvider(house.minio.access_key, house.minio.secret_key),
        secure=False,
    )
    name, secret = f"user-{secrets.token_hex(4)}", secrets.token_hex(20)
    allowed = tmp_path / "policy.json"
    actions = ["s3:ListBucket", "s3:GetBucketNotification", "s3:PutBucketNotification"]
    statement = {"Effect": "Allow", "Action": actions, "Resource": f"arn:aws:s3:::{bucket}"}
    allowed.write_text(json.dumps({"Version": "2012-10-17", "Statement": [statement]}), "utf-8")
    admin.user_add(name, secret)
    admin.policy_add(name, str(allowed))
    admin.policy_set(name, name)
    settings = house.settings(bucket) | {"AWS_ACCESS_KEY_ID": name, "AWS_SECRET_ACCESS_KEY": secret}
    unnamed = fixed(settings)
    assert "the server names none to these credentials" in unnamed.sentences()[0]
    assert unnamed.mends("notification-set") == [
        "mc admin info --json $ALIAS | jq .info.sqsARN && darkroom doctor --fix --arn $ARN"
    ]
    unknown = fixed(settings, "--arn", "arn:minio:sqs::NOBODY:webhook")
    assert unknown.mends("notification-set")[0].startswith("mc admin config set $ALIAS notify_webhook:DARKROOM ")
    statement["Action"] = actions[:-1]
    allowed.write_text(json.dumps({"Version": "2012-10-17", "Statement": [statement]}), "utf-8")
    admin.policy_add(name, str(allowed))
    denied = fixed(settings, "--arn", ARN)
    assert denied.sentences()[0].startswith(f"bucket {bucket} cannot be told to announce new objects in/*.json: ")
    assert "grant s3:PutBucketNotification" in denied.sentences()[0]
    assert denied.mends("notification-set") == [f"darkroom doctor --fix --arn {ARN}  # with keys that may do that"]
    actions_again = {**statement, "Action": actions}
    allowed.write_text(json.dumps({"Version": "2012-10-17", "Statement": [actions_again]}), "utf-8")
    admin.policy_add(name, str(allowed))
    assert fixed(settings, "--arn", ARN).sentences() == []
    assert set(house.rules(bucket)) == {"theirs", "also-theirs", "darkroom"}


PUT, REST = frozenset(EVENTS[:1]), frozenset(EVENTS[1:])
HEARD: Final = {
    "one rule": ([Rule("a")], None, set()),
    "two rules together": ([Rule("a", PUT), Rule("a", REST)], None, set()),
    "two targets, half each": ([Rule("a", PUT), Rule("b", REST)], None, PUT),
    "a wildcard": ([Rule("a", frozenset({"s3:ObjectCreated:*"}))], None, set()),
    "a wider filter": ([Rule("a", prefix="i", suffix="on")], None, set()),
    "a narrower prefix": ([Rule("a", prefix="in/a")], None, set(EVENTS)),
    "a narrower suffix": ([Rule("a", suffix="x.json")], None, set(EVENTS)),
    "another target": ([Rule("a")], "b", set(EVENTS)),
    "the target with its region": ([Rule("arn:minio:sqs:eu:A:webhook")], "arn:minio:sqs::A:webhook", set()),
    "other events": ([Rule("a", frozenset({"s3:ObjectRemoved:Delete"}))], None, set(EVENTS)),
    "nothing": ([], None, set(EVENTS)),
}


@pytest.mark.parametrize("case", HEARD)
def test_what_is_not_heard(case: str) -> None:
    rules, arn, missing = HEARD[case]
    assert untold(rules, arn, "in/", ".json") == missing
