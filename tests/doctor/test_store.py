"""What the doctor says of object storage: real servers, sound ones and such with a fault each."""

from __future__ import annotations

import json
import secrets
import shlex
import threading
import time
from collections.abc import Iterator
from typing import Any, Final

import pytest

from function.demo.s3server import S3Server
from function.demo.seaweedfs import SeaweedFS
from tests.darkroom import REPOSITORY
from tests.doctor.running import SECRET, Report, report, run
from tests.faults import Act, Answer, Answered, Asked, Disguise, Fault, HangUp, Onward, Stall, ignore_condition, spoken
from tests.faults.proxy import FaultProxy
from tests.servers.minio import Minio
from tests.stores import new_bucket

ABOUT_STORE = ("store", "buckets", "rights")


def names(server: S3Server) -> dict[str, str]:
    """Two buckets of the test's own, made, and all that is needed to use them."""
    return server.environment | {
        "DARKROOM_IMAGE_BUCKET": new_bucket(server, "images"),
        "DARKROOM_PROMPT_BUCKETS": new_bucket(server, "prompts"),
    }


def checked(server: S3Server, *more: str) -> Report:
    """What is said of a sound store, which has to be left as it was."""
    settings = names(server)
    images, prompts = settings["DARKROOM_IMAGE_BUCKET"], settings["DARKROOM_PROMPT_BUCKETS"]
    server.client.put_object(Bucket=prompts, Key="a.json", Body=b"{}")
    said = report(settings, *ABOUT_STORE, *more)
    assert said.sentences() + said.sentences("unknown") == []
    (read,) = [finding["sentence"] for finding in said.of("may-read") if prompts in finding["sentence"]]
    assert read == f"in bucket {prompts} what is missing is answered 404, and 1 objects were read"
    assert server.client.list_objects_v2(Bucket=images)["KeyCount"] == 0
    assert server.client.list_objects_v2(Bucket=prompts)["KeyCount"] == 1
    return said


def test_a_sound_store_is_ok_and_left_as_it_was(minio: Minio) -> None:
    said = checked(minio, "promises")
    assert len(said.of("store-truthful")) == 6
    assert said.sentences("skipped") == []


def test_seaweedfs_is_sound_and_has_no_notifications_which_is_said(seaweedfs: SeaweedFS) -> None:
    # Its promises are looked at in tests/store; here they would take the longest of all.
    (sentence,) = checked(seaweedfs, "notification").sentences("skipped")
    assert sentence.startswith("SeaweedFS has no notifications of a bucket: [notification.webhook] of the filer's")


def test_missing_buckets_are_said_and_made_with_fix(seaweedfs: SeaweedFS) -> None:
    called = {
        f"DARKROOM_{name}": f"{name.partition('_')[0].lower()}-{secrets.token_hex(6)}"
        for name in ("IMAGE_BUCKET", "PROMPT_BUCKETS", "INPUT_BUCKETS")
    }
    settings, missing = seaweedfs.environment | called, [*called.values()]
    without = report(settings, "buckets", "rights")
    assert without.sentences() == [f"bucket {name} does not exist" for name in missing]
    assert without.mends("bucket-there") == ["darkroom doctor --fix"] * 3
    assert without.states("may-list") == {"unknown"}
    assert not {*missing} & {bucket["Name"] for bucket in seaweedfs.client.list_buckets()["Buckets"]}
    made = report(settings, "buckets", "rights", options=["--fix"])
    assert made.sentences() == []
    assert [finding["sentence"] for finding in made.of("bucket-there")] == [
        f"bucket {name} was made" for name in missing
    ]
    assert made.states("may-claim") == {"ok"}
    read = [finding["sentence"].partition(" what")[0] for finding in made.of("may-read")]
    assert read == [f"in bucket {name}" for name in missing]


def test_rules_that_take_away_what_must_stay(minio: Minio) -> None:
    settings = names(minio)
    bucket = settings["DARKROOM_IMAGE_BUCKET"]
    right = json.loads((REPOSITORY / "knative/policies/lifecycle.json").read_text("utf-8"))["Rules"]

    def rules(*more: Any) -> None:
        minio.client.put_bucket_lifecycle_configuration(
            Bucket=bucket, LifecycleConfiguration={"Rules": [*right, *more]}
        )

    # What Darkroom keeps is small and has no tags.
    rules(LARGE, TAGGED)
    assert report(settings, "buckets").states("bucket-expiry") == {"ok"}
    # What has no old versions of most claims to let expire is not enough.
    some = {
        "ID": "some",
        "Status": "Enabled",
        "Filter": {"Prefix": "claims/ab"},
        "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
    }
    rules(EVERYTHING, NARROW, NOT_TINY, OFF, some)
    minio.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    said = report(settings, "buckets")
    lost = "after which requests are drawn again"
    assert said.wrong("bucket-expiry") == [
        f"the lifecycle rule all-of-it of bucket {bucket} takes away claims/ and records/, {lost}",
        f"the lifecycle rule one of bucket {bucket} takes away records/, {lost}",
        f"the lifecycle rule not-tiny of bucket {bucket} takes away claims/ and records/, {lost}",
    ]
    assert said.states("bucket-versions") == {"wrong"}
    # One command for all of it, which the store takes, is enough, and costs no other rule, be it switched off.
    (put,) = {*said.mends("bucket-expiry"), *said.mends("bucket-versions")}
    apply(put, minio)
    assert report(settings, "buckets").sentences() == []
    there = minio.client.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    assert {rule["ID"] for rule in there} == {*(rule["ID"] for rule in right), OFF["ID"], "some", "darkroom-old-claims"}
    assert next(rule["Status"] for rule in there if rule["ID"] == OFF["ID"]) == "Disabled"


EVERYTHING: Final = {"ID": "all-of-it", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 30}}
NARROW: Final = {"ID": "one", "Status": "Enabled", "Filter": {"Prefix": "records/ab"}, "Expiration": {"Days": 30}}
LARGE: Final = {**EVERYTHING, "ID": "large", "Filter": {"ObjectSizeGreaterThan": 1 << 20}}
NOT_TINY: Final = {**EVERYTHING, "ID": "not-tiny", "Filter": {"ObjectSizeGreaterThan": 1 << 10}}
TAGGED: Final = {**EVERYTHING, "ID": "tagged", "Filter": {"Tag": {"Key": "keep", "Value": "no"}}}
# With a name that a shell would stumble over.
OFF: Final = {"ID": "o'f\" `f` $(f)", "Status": "Disabled", "Filter": {"Prefix": "claims/"}, "Expiration": {"Days": 30}}


def apply(command: str, server: S3Server) -> None:
    """What aws does when it is given this as a shell reads it."""
    aws, s3api, action, option, bucket, *more = shlex.split(command)
    assert (aws, s3api, option) == ("aws", "s3api", "--bucket")
    if action == "delete-bucket-lifecycle":
        server.client.delete_bucket_lifecycle(Bucket=bucket)
        return
    assert (action, more[:-1]) == ("put-bucket-lifecycle-configuration", ["--lifecycle-configuration"])
    server.client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration=json.loads(more[-1]))


def test_of_rules_that_are_all_harmful_none_is_left(minio: Minio) -> None:
    settings = names(minio)
    both: Any = {"Rules": [EVERYTHING, NARROW]}
    minio.client.put_bucket_lifecycle_configuration(
        Bucket=settings["DARKROOM_IMAGE_BUCKET"], LifecycleConfiguration=both
    )
    # No store takes a configuration without rules.
    one, other = report(settings, "buckets").mends("bucket-expiry")
    assert one == other
    apply(one, minio)
    assert report(settings, "buckets").sentences("ok")[-2].startswith("nothing expires")


def denied(asked: Asked, onward: Onward) -> Answered:
    return spoken(403, "AccessDenied") if "?versioning" in asked.path else onward(asked)


def hung_up(asked: Asked, onward: Onward) -> Answered:
    if "?versioning" in asked.path:
        raise HangUp
    return onward(asked)


@pytest.mark.parametrize(
    ("act", "why"),
    [(denied, "grant s3:GetBucketVersioning"), (hung_up, "object storage does not answer: ConnectionClosedError")],
)
def test_what_of_a_bucket_cannot_be_seen_hides_nothing_else(act: Act, why: str, minio: Minio) -> None:
    settings = names(minio)
    with FaultProxy(minio) as proxy, proxy.injecting(Fault(act, "GET")):
        said = report(settings | {"AWS_ENDPOINT_URL_S3": proxy.url}, "buckets")
    (unseen,) = said.sentences("unknown")
    assert "keeps old versions cannot be seen: " in unseen
    assert why in unseen
    assert said.states("bucket-expiry") == {"ok"}


@pytest.mark.parametrize(
    ("region", "said_of_it"),
    [("eu-west-1", " --create-bucket-configuration LocationConstraint=eu-west-1"), ("us-east-1", ""), ("", "")],
)
def test_on_aws_a_bucket_is_made_in_its_region(region: str, said_of_it: str, minio: Minio) -> None:
    with (
        FaultProxy(minio) as proxy,
        proxy.injecting(Fault(Answer(404, "NoSuchBucket"), "GET"), Fault(Answer(403, "AccessDenied"), "PUT")),
    ):
        settings = {
            "AWS_ENDPOINT_URL_S3": "http://s3.eu-west-1.amazonaws.com",
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "HTTP_PROXY": proxy.url,
            "http_proxy": proxy.url,
            "NO_PROXY": "",
            "no_proxy": "",
        }
        said = report(minio.environment | settings, "buckets", options=["--fix"])
    assert said.mends("bucket-there") == [f"aws s3api create-bucket --bucket images{said_of_it}"]


def test_a_store_that_lies(minio: Minio) -> None:
    with FaultProxy(minio) as proxy, proxy.injecting(Fault(ignore_condition)):
        said = report(names(minio) | {"AWS_ENDPOINT_URL_S3": proxy.url}, "rights", "promises")
    assert said.code == 1
    assert any("it overwrote what the first had created" in sentence for sentence in said.sentences())
    assert said.states("store-truthful") == {"ok", "wrong"}, "one broken promise hides another"


def test_a_store_that_answers_403_for_what_is_missing(minio: Minio) -> None:
    settings = names(minio)
    with FaultProxy(minio) as proxy, proxy.injecting(Fault(Disguise(404, 403, "AccessDenied"), "GET", "records/")):
        said = report(settings | {"AWS_ENDPOINT_URL_S3": proxy.url}, "rights")
    (sentence,) = said.sentences()
    assert sentence == (
        f"object storage denies access to bucket {settings['DARKROOM_IMAGE_BUCKET']}: AccessDenied; "
        "grant s3:GetObject and s3:ListBucket, without which S3 answers so for what is missing"
    )


def test_a_store_that_is_away_hides_nothing_else() -> None:
    away = {
        "AWS_ENDPOINT_URL_S3": "http://name:word@127.0.0.1:9",
        "AWS_ACCESS_KEY_ID": "a",
        "DARKROOM_PORT": "1",
        "DARKROOM_DEVICE": "cpu",
    }
    said = report(away | dict.fromkeys(SECRET, "not-to-be-shown"))
    (wrong,) = said.of("store-reachable")
    assert wrong["sentence"] == "object storage does not answer: EndpointConnectionError (http://127.0.0.1:9)"
    assert "word" not in said.stdout
    for examination in ("buckets", "rights", "promises", "notification"):
        (finding,) = said.of(examination)
        assert finding["sentence"] == "could not be looked at: object storage is away; see store"
    assert said.states("settings-known") == {"wrong"}
    assert said.states("model-hashed") == {"ok"}
    assert said.states("knative-version") == {"skipped"}
    assert said.states("numbers-fit") == {"ok", "skipped"}


def test_keys_that_the_store_does_not_know(minio: Minio) -> None:
    (finding,) = report(minio.environment | {"AWS_SECRET_ACCESS_KEY": "another-secret"}, "store").of("store-reachable")
    assert finding["state"] == "wrong", finding
    assert "check AWS_ACCESS_KEY_ID and its secret" in finding["sentence"]
    (none,) = report({"AWS_ENDPOINT_URL_S3": minio.endpoint}, "store").of("store-reachable")
    assert none["sentence"].startswith("no credentials for object storage")


@pytest.fixture
def silent(minio: Minio) -> Iterator[FaultProxy]:
    """A store that takes every request and never answers."""
    over = threading.Event()
    with FaultProxy(minio) as proxy, proxy.injecting(Fault(Stall(over))):
        try:
            yield proxy
        finally:
            over.set()


def test_an_endpoint_that_is_no_url_is_wrong_and_not_shown(minio: Minio) -> None:
    done = run("--only", "store", settings=names(minio) | {"AWS_ENDPOINT_URL_S3": "name:word@localhost:9000"})
    assert done.returncode == 1
    assert "the S3 endpoint is no URL such as http://host:9000" in done.stdout
    assert "word" not in done.stdout + done.stderr


def test_a_silent_store_holds_up_nothing(silent: FaultProxy, minio: Minio) -> None:
    settings = names(minio) | {"AWS_ENDPOINT_URL_S3": silent.url}
    began = time.monotonic()
    done = run("--patience", "2", "--only", "store", "--only", "rights", "--only", "settings", settings=settings)
    # One answer is waited for, for some seconds; the rest is the process's own start on a machine that is busy.
    assert time.monotonic() - began < 100
    assert done.returncode == 1
    assert "object storage does not answer: ReadTimeoutError" in done.stdout
    assert "every DARKROOM_ variable sets something" in done.stdout
