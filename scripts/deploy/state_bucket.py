"""Make the bucket that keeps a stage's Terraform state: versioned, encrypted, closed to the public.

Terraform cannot make the bucket that its own state lives in. Everything here may be run again at any time.
"""

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import typer
from botocore.exceptions import ClientError

from scripts.cli import UserError
from scripts.stage import Stage

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_US_EAST_1 = "us-east-1"  # the one region that CreateBucket must not be told


def name(stage: Stage, account: str) -> str:
    """The bucket's name: one for all stages of an account and region, unless STATE_BUCKET says otherwise."""
    return os.environ.get("STATE_BUCKET") or f"stream-processing-tfstate-{account}-{stage.region}"


def find(stage: Stage, account: str) -> str | None:
    """The name of the bucket; None when it does not exist. Raises UserError when it belongs to somebody else."""
    bucket = name(stage, account)
    try:
        stage.session.client("s3").head_bucket(Bucket=bucket, ExpectedBucketOwner=account)
    except ClientError as error:
        if error.response["Error"]["Code"] == "404":
            return None
        raise UserError(
            f"The state bucket {bucket} is not ours to use: {error}. Name another: STATE_BUCKET=..."
        ) from error
    return bucket


def ensure(stage: Stage, account: str) -> str:
    """Make the bucket, or bring the one that is there into order; returns its name."""
    bucket, s3 = find(stage, account), stage.session.client("s3")
    if bucket is None:
        bucket = name(stage, account)
        where = (
            {} if stage.region == _US_EAST_1 else {"CreateBucketConfiguration": {"LocationConstraint": stage.region}}
        )
        s3.create_bucket(Bucket=bucket, **where)  # type: ignore[arg-type]
        s3.get_waiter("bucket_exists").wait(Bucket=bucket)
        typer.echo(f"State bucket made: {bucket}")
    _secure(s3, bucket)
    return bucket


def _secure(s3: "S3Client", bucket: str) -> None:
    """Close, version and encrypt the bucket where it is not: whoever only deploys need not be allowed to."""
    closed = {
        "BlockPublicAcls": True,
        "BlockPublicPolicy": True,
        "IgnorePublicAcls": True,
        "RestrictPublicBuckets": True,
    }
    if _setting(s3.get_public_access_block, bucket).get("PublicAccessBlockConfiguration") != closed:
        s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=closed)  # type: ignore[arg-type]
    if _setting(s3.get_bucket_versioning, bucket).get("Status") != "Enabled":
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    if not _setting(s3.get_bucket_encryption, bucket):
        s3.put_bucket_encryption(
            Bucket=bucket,
            ServerSideEncryptionConfiguration={
                "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
            },
        )


def _setting(ask: Callable[..., Mapping[str, Any]], bucket: str) -> Mapping[str, Any]:
    """A setting of the bucket; empty where it has none, which some settings tell by an error."""
    try:
        return {name: value for name, value in ask(Bucket=bucket).items() if name != "ResponseMetadata"}
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
            raise
        return {}
