"""What an interrupted deploy has left is found, and told from what belongs to others."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from moto import mock_aws

from scripts.deploy.leftovers import find, is_ready
from scripts.stage import Stage

TAGS = {"Project": "stream-processing", "Stage": "dev"}
OTHERS = {"Project": "another", "Stage": "dev"}
MAPPING = "6f2c2b3e-5b0a-4b7e-9a53-1f0d1c2b3a4d"


@pytest.fixture
def session() -> Iterator[boto3.Session]:
    """A session of an AWS account that is moto's."""
    with mock_aws():
        yield Stage("dev", "us-east-1", None, Path("unused")).session


def as_list(tags: Mapping[str, str]) -> list[Any]:
    return [{"Key": name, "Value": value} for name, value in tags.items()]


def make_table(session: boto3.Session, name: str, tags: Mapping[str, str]) -> None:
    session.client("dynamodb").create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        Tags=as_list(tags),
    )


def make_stream(session: boto3.Session, name: str, tags: Mapping[str, str]) -> None:
    kinesis = session.client("kinesis")
    kinesis.create_stream(StreamName=name, ShardCount=1)
    kinesis.add_tags_to_stream(StreamName=name, Tags=dict(tags))


def make_bucket(session: boto3.Session, name: str, tags: Mapping[str, str]) -> None:
    s3 = session.client("s3")
    s3.create_bucket(Bucket=name)
    s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": as_list(tags)})


def make_role(session: boto3.Session, name: str, tags: Mapping[str, str]) -> None:
    session.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({}), Tags=as_list(tags))


def make_log_group(session: boto3.Session, name: str, tags: Mapping[str, str]) -> None:
    session.client("logs").create_log_group(logGroupName=name, tags=dict(tags))
    session.client("logs").create_log_group(logGroupName=f"{name}-and-more", tags=dict(OTHERS))


MADE = {
    "aws_dynamodb_table": (make_table, "name"),
    "aws_kinesis_stream": (make_stream, "name"),
    "aws_s3_bucket": (make_bucket, "bucket"),
    "aws_iam_role": (make_role, "name"),
    "aws_cloudwatch_log_group": (make_log_group, "name"),
}


@pytest.mark.parametrize("type_", MADE)
def test_what_exists_with_our_tags_is_ours_and_with_others_is_not(type_: str, session: boto3.Session) -> None:
    make, attribute = MADE[type_]
    make(session, "ours", TAGS)
    make(session, "theirs", OTHERS)

    assert find(session, type_, {attribute: "ours", "tags_all": TAGS}) == "ours"
    assert find(session, type_, {attribute: "theirs", "tags_all": TAGS}) is None
    assert find(session, type_, {attribute: "none", "tags_all": TAGS}) is None


def test_a_bucket_that_has_no_tags_yet_is_ours(session: boto3.Session) -> None:
    session.client("s3").create_bucket(Bucket="failures")

    assert find(session, "aws_s3_bucket", {"bucket": "failures", "tags_all": TAGS}) == "failures"


@pytest.fixture
def functions(session: boto3.Session) -> Iterator[Stubber]:
    with Stubber(session.client("lambda")) as stub:
        yield stub


@pytest.mark.parametrize(("tags", "expected"), [(TAGS, "f"), (OTHERS, None)])
def test_a_function_is_told_by_its_tags(
    tags: dict[str, str], expected: str | None, functions: Stubber, session: boto3.Session
) -> None:
    functions.add_response("get_function", {"Tags": tags}, {"FunctionName": "f"})

    assert find(session, "aws_lambda_function", {"function_name": "f", "tags_all": TAGS}) == expected


def test_an_alias_and_a_mapping_belong_to_their_function(functions: Stubber, session: boto3.Session) -> None:
    functions.add_response("get_alias", {"Name": "live"}, {"FunctionName": "f", "Name": "live"})
    source = {"FunctionName": "f:live", "EventSourceArn": "arn:aws:kinesis:us-east-1:123456789012:stream/s"}
    functions.add_response("list_event_source_mappings", {"EventSourceMappings": [{"UUID": MAPPING}]}, source)

    assert find(session, "aws_lambda_alias", {"function_name": "f", "name": "live"}) == "f/live"
    mapping = {"function_name": source["FunctionName"], "event_source_arn": source["EventSourceArn"]}
    assert find(session, "aws_lambda_event_source_mapping", mapping) == MAPPING
    assert find(session, "aws_lambda_event_source_mapping", {"event_source_arn": source["EventSourceArn"]}) is None


def test_what_may_not_be_looked_at_counts_as_not_there(functions: Stubber, session: boto3.Session) -> None:
    functions.add_client_error("get_function", "AccessDeniedException", "not authorized", 403)

    assert find(session, "aws_lambda_function", {"function_name": "f", "tags_all": TAGS}) is None


def test_what_can_be_created_again_is_not_looked_for(session: boto3.Session) -> None:
    assert find(session, "aws_cloudwatch_metric_alarm", {"alarm_name": "a", "tags_all": TAGS}) is None


def test_a_half_made_resource_is_ready_once_it_exists_and_not_before(session: boto3.Session) -> None:
    make_table(session, "scores", TAGS)
    make_stream(session, "Demo-Stream", TAGS)
    make_bucket(session, "failures", TAGS)

    assert is_ready(session, "aws_dynamodb_table", {"name": "scores"})
    assert is_ready(session, "aws_kinesis_stream", {"name": "Demo-Stream"})
    assert is_ready(session, "aws_s3_bucket", {"bucket": "failures"})
    assert not is_ready(session, "aws_s3_bucket", {"bucket": "gone"})
