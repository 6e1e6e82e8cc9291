"""What somebody could try on a bucket, tried with the credentials of an identity."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from tests.policies.identity import Identity

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import VersioningConfigurationTypeDef


def tried_by(held: Identity, bucket: str, prefixes: Sequence[str] = ("",)) -> dict[tuple[str, str], bool]:
    """Whether each thing is refused, by the action that it needs and what it is tried on."""
    client = held.client
    versioned: VersioningConfigurationTypeDef = {"Status": "Enabled"}
    tries: dict[tuple[str, str], Callable[[], object]] = {
        ("s3:ListBucket", bucket): partial(client.list_objects_v2, Bucket=bucket),
        ("s3:DeleteBucket", bucket): partial(client.delete_bucket, Bucket=bucket),
        ("s3:GetBucketPolicy", bucket): partial(client.get_bucket_policy, Bucket=bucket),
        ("s3:PutBucketVersioning", bucket): partial(
            client.put_bucket_versioning, Bucket=bucket, VersioningConfiguration=versioned
        ),
    }
    for key in (f"{prefix}x" for prefix in prefixes):
        tries |= {
            ("s3:PutObject", f"{bucket}/{key}"): partial(client.put_object, Bucket=bucket, Key=key),
            ("s3:GetObject", f"{bucket}/{key}"): partial(client.get_object, Bucket=bucket, Key=key),
            ("s3:DeleteObject", f"{bucket}/{key}"): partial(client.delete_object, Bucket=bucket, Key=key),
        }
    return {access: refused(attempt) for access, attempt in tries.items()}


def refused(attempt: Callable[[], object]) -> bool:
    """Whether it is denied; that there is nothing to read is no denial."""
    try:
        attempt()
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    return False
