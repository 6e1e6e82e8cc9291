"""Identities: what each policy of knative/policies grants, and credentials that hold exactly that."""

from __future__ import annotations

import json
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

import boto3
from botocore.config import Config

from tests.backstops.house import House
from tests.darkroom import REPOSITORY

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


def document(name: str, images: str = "images", prompts: str = "prompts") -> dict[str, Any]:
    """The policy in a file, with the two buckets' names put in as its reader is told to."""
    text = (FOLDER / f"{name}.json").read_text("utf-8")
    text = text.replace(f"{ARN}images", ARN + images).replace(f"{ARN}prompts", ARN + prompts)
    policy: dict[str, Any] = json.loads(text)
    return policy


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


def identity(name: str, house: House) -> Identity:
    """Temporary credentials, as a role has them, which MinIO itself holds to the policy."""
    server = house.server
    service = boto3.session.Session().client(
        "sts",
        endpoint_url=server.endpoint,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name=server.environment["AWS_REGION"],
    )
    policy = json.dumps(document(name, house.images, house.prompts), separators=(",", ":"))
    given = service.assume_role(RoleArn="arn:aws:iam::0:role/any", RoleSessionName=name, Policy=policy)["Credentials"]
    keys = {
        "AWS_ACCESS_KEY_ID": given["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": given["SecretAccessKey"],
        "AWS_SESSION_TOKEN": given["SessionToken"],
    }
    return Identity(name, house, server.environment | keys)
