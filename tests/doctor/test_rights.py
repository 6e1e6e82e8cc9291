"""Rights, tried with the credentials of real users of a real MinIO."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
from minio import MinioAdmin
from minio.credentials.providers import StaticProvider

from function.doctor.rights import IDENTITIES, Rights
from function.layout import CLAIMS, OWN
from tests.darkroom import REPOSITORY
from tests.doctor.running import Report, report
from tests.faults import Answered, Asked, Fault, Onward
from tests.faults.proxy import FaultProxy
from tests.servers.minio import Minio
from tests.stores import new_bucket

POLICIES: Final = REPOSITORY / "knative" / "policies"
PROCESSES: Final = ("render", "intake", "sweep", "archive", "operator")
Policy = dict[str, Any]


def policy(name: str) -> Policy:
    """As the files have it; render has two, where prompts may take pictures from buckets."""
    loaded: list[Policy] = [
        json.loads((POLICIES / f"{file}.json").read_text("utf-8"))
        for file in ((name, "inputs") if name == "render" else (name,))
    ]
    return loaded[0] | {"Statement": [statement for one in loaded for statement in one["Statement"]]}


def everything() -> Policy:
    """What all processes need together."""
    return {"Version": "2012-10-17", "Statement": [rule for name in PROCESSES for rule in policy(name)["Statement"]]}


def listed(one: Any) -> list[Any]:
    return one if isinstance(one, list) else [one]


def without(action: str, *below: str) -> Policy:
    """All of that but one action on some resources, which is not forbidden but only not allowed."""
    lacking = {(action, f"arn:aws:s3:::{key}") for key in below}
    rules = [
        {"Effect": "Allow", "Action": act, "Resource": what}
        for rule in everything()["Statement"]
        for act in listed(rule["Action"])
        for what in listed(rule["Resource"])
        if (act, what) not in lacking
    ]
    return {"Version": "2012-10-17", "Statement": rules}


# What is lacking, the check that finds it, and what it says.
LACKING: Final = {
    "list": (without("s3:ListBucket", "images"), {"may-list"}, "grant s3:ListBucket"),
    # MinIO answers 404 all the same, so it takes an object that is there.
    "read": (
        without("s3:GetObject", "images/records/*"),
        {"may-read"},
        "without which S3 answers so for what is missing",
    ),
    "write": (without("s3:PutObject", "images/results/*"), {"may-write"}, "grant s3:PutObject below results/"),
    "claim": (
        without("s3:PutObject", "images/claims/*", "images/claims/check-store-*"),
        {"may-write", "may-claim"},
        "grant s3:PutObject below claims/",
    ),
    # What check-store leaves may be deleted, and that is not enough.
    "delete": (without("s3:DeleteObject", "images/claims/*"), {"may-delete"}, "grant s3:DeleteObject"),
}


class Accounts:
    """Users of a MinIO, each with a policy on three buckets of the test's own."""

    def __init__(self, minio: Minio) -> None:
        self._minio = minio
        self._admin = MinioAdmin(
            endpoint=urlsplit(minio.endpoint).netloc,
            credentials=StaticProvider(minio.access_key, minio.secret_key),
            secure=False,
        )
        self.images, self.prompts, self.inputs = (new_bucket(minio, name) for name in ("images", "prompts", "inputs"))
        minio.client.put_object(Bucket=self.inputs, Key="there", Body=b"x")
        # Something below each prefix: MinIO answers 404 for what is missing even to who may not read.
        for prefix in OWN:
            minio.client.put_object(Bucket=self.images, Key=f"{prefix}there", Body=b"x")
        self.before = self.keys()

    def keys(self) -> set[str]:
        return {row["Key"] for row in self._minio.client.list_objects_v2(Bucket=self.images)["Contents"]}

    def settings(self, allowed: Policy, folder: Path) -> dict[str, str]:
        """The environment of a new user who may do only that."""
        name, secret = f"user-{secrets.token_hex(4)}", secrets.token_hex(20)
        text = json.dumps(allowed)
        for called, bucket in (("images", self.images), ("prompts", self.prompts), ("inputs", self.inputs)):
            text = text.replace(f":::{called}", f":::{bucket}")
        file = folder / f"{name}.json"
        file.write_text(text, "utf-8")
        self._admin.user_add(name, secret)
        self._admin.policy_add(name, str(file))
        self._admin.policy_set(name, name)
        buckets = {"DARKROOM_IMAGE_BUCKET": self.images, "DARKROOM_PROMPT_BUCKETS": self.prompts}
        buckets |= {"DARKROOM_INPUT_BUCKETS": self.inputs}
        return self._minio.environment | buckets | {"AWS_ACCESS_KEY_ID": name, "AWS_SECRET_ACCESS_KEY": secret}


@pytest.fixture(scope="module")
def accounts(minio: Minio) -> Accounts:
    return Accounts(minio)


@pytest.fixture(scope="module")
def reports(accounts: Accounts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Report]]:
    """What is said to each identity with its own policy, and to each user who lacks something."""
    folder = tmp_path_factory.mktemp("policies")
    runs = {name: ("--identity", name) for name in PROCESSES} | dict[str, tuple[str, ...]](dict.fromkeys(LACKING, ()))
    users = {name: accounts.settings(policy(name) if name in PROCESSES else LACKING[name][0], folder) for name in runs}
    with ThreadPoolExecutor(2) as pool:
        said = {name: pool.submit(report, users[name], "rights", options=runs[name]) for name in runs}
        yield lambda name: said[name].result()


def rights(name: str) -> Rights:
    """As a policy grants them."""
    reads: set[str] = set()
    writes: set[str] = set()
    deletes: set[str] = set()
    prompts = inputs = checks = False
    for rule in policy(name)["Statement"]:
        actions = {rule["Action"]} if isinstance(rule["Action"], str) else set(rule["Action"])
        resources = [rule["Resource"]] if isinstance(rule["Resource"], str) else rule["Resource"]
        for resource in resources:
            bucket, _, key = resource.removeprefix("arn:aws:s3:::").partition("/")
            if key == f"{CLAIMS}check-store-*":
                checks = checks or actions >= {"s3:PutObject", "s3:DeleteObject"}
                continue
            prompts = prompts or (bucket == "prompts" and "s3:GetObject" in actions)
            inputs = inputs or (bucket == "inputs" and "s3:GetObject" in actions)
            if bucket == "images" and key:
                for action, prefixes in (("Get", reads), ("Put", writes), ("Delete", deletes)):
                    if f"s3:{action}Object" in actions:
                        prefixes.add(key.removesuffix("*"))
    have = (tuple(sorted(found)) for found in (reads, writes, deletes))
    return Rights(next(have), next(have), next(have), prompts, inputs, checks)


@pytest.mark.parametrize("name", PROCESSES)
def test_what_is_tried_is_what_the_policies_grant(name: str) -> None:
    assert rights(name) == IDENTITIES[name]


def test_together_they_are_those_of_shared_credentials() -> None:
    each = [IDENTITIES[name] for name in PROCESSES]
    for have, parts in (
        (IDENTITIES["all"].reads, [one.reads for one in each]),
        (IDENTITIES["all"].writes, [one.writes for one in each]),
        (IDENTITIES["all"].deletes, [one.deletes for one in each]),
    ):
        assert list(have) == sorted({prefix for part in parts for prefix in part})


@pytest.mark.parametrize("name", PROCESSES)
def test_a_policy_of_ours_is_enough(name: str, reports: Callable[[str], Report]) -> None:
    said = reports(name)
    assert said.code == 0, said.stdout
    # The archive only writes: no store tells it anything of what it has written.
    assert {finding["state"] for finding in said.findings} == {"ok"}


@pytest.mark.parametrize("name", LACKING)
def test_what_is_lacking_is_said_with_what_grants_it(name: str, reports: Callable[[str], Report]) -> None:
    _, checks, phrase = LACKING[name]
    said = reports(name)
    assert {finding["check"] for finding in said.findings if finding["state"] == "wrong"} == checks
    assert any(phrase in sentence for sentence in said.sentences()), said.sentences()
    for check in checks:
        mend = said.mends(check)[0]
        for one in PROCESSES:
            assert f"mc admin policy create $ALIAS darkroom-{one} knative/policies/{one}.json && " in mend
        attached = " ".join(f"darkroom-{one}" for one in PROCESSES)
        assert f'&& mc admin policy attach $ALIAS {attached} --user "$AWS_ACCESS_KEY_ID"  # once they name' in mend


def without_digest(asked: Asked, onward: Onward) -> Answered:
    headers = {name: value for name, value in asked.headers.items() if name != "content-md5"}
    return onward(replace(asked, headers=headers, resign=True))


def test_a_store_that_looks_at_no_digest_is_given_one_object_at_most(minio: Minio, tmp_path: Path) -> None:
    accounts = Accounts(minio)
    settings = accounts.settings(policy("render"), tmp_path)
    with FaultProxy(minio) as proxy, proxy.injecting(Fault(without_digest, "PUT", "claims/doctor-")):
        said = report(settings | {"AWS_ENDPOINT_URL_S3": proxy.url}, "rights", options=["--identity", "render"])
    assert said.sentences() == []
    (unknown,) = said.sentences("unknown")
    (key,) = [key for key in accounts.keys() - accounts.before if not key.startswith("claims/check-store-")]
    assert unknown.startswith(f"bucket {accounts.images} took {key} with a wrong digest: ")
    assert said.states("may-write") == {"unknown"}


def test_nothing_is_left_behind_but_where_deletion_is_denied(
    accounts: Accounts, reports: Callable[[str], Report]
) -> None:
    for name in (*PROCESSES, *LACKING):
        reports(name)
    left = accounts.keys() - accounts.before
    # That of render, where the sweep finds it.
    (key,) = left
    assert key.startswith("claims/check-store-doctor-")
