"""Make the bucket that keeps a stage's Terraform state: versioned, encrypted, closed to the public.

Terraform cannot make the bucket that its own state lives in. Everything here may be run again at any time.
"""

import os

import boto3
import typer
from botocore.exceptions import ClientError

from scripts.command import UserError, run
from scripts.stage import Stage, resolve

_US_EAST_1 = "us-east-1"  # the one region that CreateBucket must not be told


def name(stage: Stage, account: str) -> str:
    """The bucket's name: one for all stages of an account and region, unless STATE_BUCKET says otherwise."""
    return os.environ.get("STATE_BUCKET") or f"stream-processing-tfstate-{account}-{stage.region}"


def ensure(stage: Stage, account: str) -> str:
    """Make the bucket, or bring the one that is there into order; returns its name."""
    bucket = name(stage, account)
    s3 = boto3.client("s3")
    try:
        s3.head_bucket(Bucket=bucket, ExpectedBucketOwner=account)
    except ClientError as error:
        if error.response["Error"]["Code"] != "404":
            raise UserError(
                f"The state bucket {bucket} is not ours to use: {error}. Name another: STATE_BUCKET=..."
            ) from error
        where = (
            {} if stage.region == _US_EAST_1 else {"CreateBucketConfiguration": {"LocationConstraint": stage.region}}
        )
        s3.create_bucket(Bucket=bucket, **where)  # type: ignore[arg-type]
        s3.get_waiter("bucket_exists").wait(Bucket=bucket)
        typer.echo(f"State bucket made: {bucket}")
    _secure(bucket)
    return bucket


def _secure(bucket: str) -> None:
    s3 = boto3.client("s3")
    s3.put_public_access_block(
        Bucket=bucket,
        PublicAccessBlockConfiguration={
            "BlockPublicAcls": True,
            "BlockPublicPolicy": True,
            "IgnorePublicAcls": True,
            "RestrictPublicBuckets": True,
        },
    )
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_encryption(
        Bucket=bucket,
        ServerSideEncryptionConfiguration={
            "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
        },
    )


def main(stage: str = typer.Option("local", help="local, dev or prod")) -> None:
    """Make a stage's state bucket, or bring the one that is there into order."""
    target = resolve(stage, os.environ)
    target.activate()
    typer.echo(f"State bucket ready: {ensure(target, target.account())}")


if __name__ == "__main__":
    run(main)
