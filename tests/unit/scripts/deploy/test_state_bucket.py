"""The bucket of Terraform's state."""

from pathlib import Path

import boto3
import pytest
from botocore.stub import Stubber
from moto import mock_aws

from scripts.cli import UserError
from scripts.deploy import state_bucket
from scripts.stage import Stage

ACCOUNT = "123456789012"


def stage_in(region: str) -> Stage:
    return Stage("dev", region, None, Path("unused"))


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1"])
@mock_aws
def test_the_bucket_is_made_once_versioned_encrypted_and_closed(region: str) -> None:
    made = state_bucket.ensure(stage_in(region), ACCOUNT)
    again = state_bucket.ensure(stage_in(region), ACCOUNT)

    s3 = boto3.client("s3")
    assert made == again == f"stream-processing-tfstate-{ACCOUNT}-{region}"
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == [made]
    assert s3.get_bucket_versioning(Bucket=made)["Status"] == "Enabled"
    assert s3.get_bucket_encryption(Bucket=made)["ServerSideEncryptionConfiguration"]["Rules"]
    assert all(s3.get_public_access_block(Bucket=made)["PublicAccessBlockConfiguration"].values())


@mock_aws
def test_a_bucket_that_was_left_open_is_brought_into_order() -> None:
    s3 = boto3.client("s3")
    bucket = f"stream-processing-tfstate-{ACCOUNT}-us-east-1"
    s3.create_bucket(Bucket=bucket)

    state_bucket.ensure(stage_in("us-east-1"), ACCOUNT)

    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"


def test_a_bucket_of_another_account_is_not_used() -> None:
    stage = stage_in("us-east-1")

    with Stubber(stage.session.client("s3")) as stub:
        stub.add_client_error("head_bucket", "403", "Forbidden", 403)
        with pytest.raises(UserError, match="STATE_BUCKET="):
            state_bucket.ensure(stage, ACCOUNT)
