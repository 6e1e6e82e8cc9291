"""Identities: what each policy of knative/policies grants, and credentials that hold exactly that."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

import boto3
from botocore.config import Config

from tests.backstops.house import House
from tests.darkroom import REPOSITORY
from tests.docs.test_readme import RUN, blocks

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

FOLDER: Final = REPOSITORY / "knative" / "policies"
IDENTITIES: Final = ("render", "intake", "sweep", "archive", "operator")
ARN: Final = "arn:aws:s3:::"


@dataclass(frozen=True)
class Grant:
    """An action on what a pattern names: a bucket, or in a bucket all objects whose keys begin so."""

    action: str
    resource: str

    def covers(self, action: str, name: str) -> bool:
        return action == self.action and fnmatchcase(name, self.resource)


@dataclass(frozen=True)
class Identity:
    """Who holds a policy and nothing else, in a house of its own buckets."""

    name: str
    house: House
    environment: dict[str, str]

    @property
    def access_key(self) -> str:
        return self.environment["AWS_ACCESS_KEY_ID"]

    @property
    def client(self) -> S3Client:
        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.house.server.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.environment["AWS_SECRET_ACCESS_KEY"],
            aws_session_token=self.environment["AWS_SESSION_TOKEN"],
            region_name=self.environment["AWS_REGION"],
            config=Config(signature_version="s3v4", retries={"mode": "standard", "total_max_attempts": 4}, proxies={}),
        )


def as_the_page_says(word: str, file: str | None = None) -> dict[str, Any]:
    """The policy that comes of the one command on the page that has this word, for another file than it shows."""
    (command,) = [block.text for block in blocks((FOLDER / "README.md").read_text("utf-8")) if word in block.text]
    shown, _, _ = command.rpartition("/")
    command = f"{shown}/{file}.json" if file else command
    done = subprocess.run([*RUN["sh"], command], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    policy: dict[str, Any] = json.loads(done.stdout)
    return policy


def with_buckets(policy: dict[str, Any], **buckets: str) -> dict[str, Any]:
    """The policy, with another name for each of these buckets."""
    text = json.dumps(policy)
    for called, name in buckets.items():
        text = text.replace(f"{ARN}{called}", ARN + name)
    named: dict[str, Any] = json.loads(text)
    return named


def document(name: str, images: str = "images", prompts: str = "prompts") -> dict[str, Any]:
    """The policy in a file, with the two buckets' names put in as its reader is told to."""
    return with_buckets(json.loads((FOLDER / f"{name}.json").read_text("utf-8")), images=images, prompts=prompts)


def grants(policy: dict[str, Any]) -> set[Grant]:
    """All that an identity's policy allows, which must be said in the plainest way there is."""
    found = set()
    for statement in policy["Statement"]:
        assert statement.keys() == {"Sid", "Effect", "Action", "Resource"}, statement
        assert statement["Effect"] == "Allow"
        for action in several(statement["Action"]):
            for resource in several(statement["Resource"]):
                assert "*" not in action
                found.add(Grant(action, resource.removeprefix(ARN)))
    return found


def several(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def identity(name: str, house: House, wanted: dict[str, Any] | None = None) -> Identity:
    """Temporary credentials, as a role has them, which MinIO itself holds to the policy of this name, or to another."""
    server = house.server
    service = boto3.session.Session().client(
        "sts",
        endpoint_url=server.endpoint,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name=server.environment["AWS_REGION"],
    )
    policy = json.dumps(wanted or document(name, house.images, house.prompts), separators=(",", ":"))
    given = service.assume_role(RoleArn="arn:aws:iam::0:role/any", RoleSessionName=name, Policy=policy)["Credentials"]
    keys = {
        "AWS_ACCESS_KEY_ID": given["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": given["SecretAccessKey"],
        "AWS_SESSION_TOKEN": given["SessionToken"],
    }
    return Identity(name, house, server.environment | keys)
