"""What an interrupted deploy has left in AWS, that Terraform's state does not know or does not trust.

An interrupt cuts off the requests that are under way: AWS may carry one out whose answer Terraform never gets. And the
provider (5.100.0) notes some resources only once it has waited for them, a Kinesis stream for one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError, WaiterError


@dataclass(frozen=True, slots=True)
class Found:
    """A resource in AWS."""

    id: str
    """What `terraform import` calls it."""
    tags: Mapping[str, str] | None
    """None where a resource has none, and belongs to whoever has the one that it is a part of."""


def find(session: boto3.Session, type_: str, planned: Mapping[str, Any]) -> str | None:
    """The id, for an import, of a resource that a plan would create although it exists; None when it does not.

    Its tags, which it has had since its creation, tell ours from another's. What may not be looked at counts as not
    there: then AWS refuses to create it, and says why.
    """
    look = _LOOKS.get(type_)
    try:
        found = look(session, planned) if look else None
    except (ClientError, BotoCoreError):
        return None
    if found is None or (found.tags is not None and found.tags != planned.get("tags_all")):
        return None
    return found.id


def is_ready(session: boto3.Session, type_: str, before: Mapping[str, Any]) -> bool:
    """Whether a table, stream or bucket exists and can be used; waits while it is being made."""
    try:
        if type_ == "aws_kinesis_stream":
            session.client("kinesis").get_waiter("stream_exists").wait(StreamName=before["name"])
        elif type_ == "aws_dynamodb_table":
            session.client("dynamodb").get_waiter("table_exists").wait(TableName=before["name"])
        else:
            session.client("s3").head_bucket(Bucket=before["bucket"])
    except (WaiterError, ClientError, BotoCoreError):
        return False
    return True


def _stream(session: boto3.Session, planned: Mapping[str, Any]) -> Found:
    tags = session.client("kinesis").list_tags_for_stream(StreamName=planned["name"])["Tags"]
    return Found(planned["name"], {tag["Key"]: tag["Value"] for tag in tags})


def _table(session: boto3.Session, planned: Mapping[str, Any]) -> Found:
    dynamodb = session.client("dynamodb")
    arn = dynamodb.describe_table(TableName=planned["name"])["Table"]["TableArn"]
    tags = dynamodb.list_tags_of_resource(ResourceArn=arn)["Tags"]
    return Found(planned["name"], {tag["Key"]: tag["Value"] for tag in tags})


def _bucket(session: boto3.Session, planned: Mapping[str, Any]) -> Found:
    # Its name holds the account's id. It gets its tags by a request of their own.
    session.client("s3").head_bucket(Bucket=planned["bucket"])
    try:
        tags = session.client("s3").get_bucket_tagging(Bucket=planned["bucket"])["TagSet"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchTagSet":
            raise
        return Found(planned["bucket"], None)
    return Found(planned["bucket"], {tag["Key"]: tag["Value"] for tag in tags})


def _role(session: boto3.Session, planned: Mapping[str, Any]) -> Found:
    tags = session.client("iam").list_role_tags(RoleName=planned["name"])["Tags"]
    return Found(planned["name"], {tag["Key"]: tag["Value"] for tag in tags})


def _log_group(session: boto3.Session, planned: Mapping[str, Any]) -> Found | None:
    logs = session.client("logs")
    groups = logs.describe_log_groups(logGroupNamePrefix=planned["name"])["logGroups"]
    for group in groups:
        if group["logGroupName"] == planned["name"]:
            arn = group["arn"].removesuffix(":*")
            return Found(planned["name"], logs.list_tags_for_resource(resourceArn=arn)["tags"])
    return None


def _function(session: boto3.Session, planned: Mapping[str, Any]) -> Found:
    function = session.client("lambda").get_function(FunctionName=planned["function_name"])
    return Found(planned["function_name"], function.get("Tags", {}))


def _alias(session: boto3.Session, planned: Mapping[str, Any]) -> Found:
    function, name = planned["function_name"], planned["name"]
    session.client("lambda").get_alias(FunctionName=function, Name=name)
    return Found(f"{function}/{name}", None)


def _mapping(session: boto3.Session, planned: Mapping[str, Any]) -> Found | None:
    # Both are known to the plan only once the function and the stream are in the state.
    function, source = planned.get("function_name"), planned.get("event_source_arn")
    if not function or not source:
        return None
    mappings = session.client("lambda").list_event_source_mappings(FunctionName=function, EventSourceArn=source)
    return next((Found(each["UUID"], None) for each in mappings["EventSourceMappings"]), None)


# What else there is can be created again: AWS then changes it, or makes another.
_LOOKS: Mapping[str, Callable[[boto3.Session, Mapping[str, Any]], Found | None]] = {
    "aws_kinesis_stream": _stream,
    "aws_dynamodb_table": _table,
    "aws_s3_bucket": _bucket,
    "aws_iam_role": _role,
    "aws_cloudwatch_log_group": _log_group,
    "aws_lambda_function": _function,
    "aws_lambda_alias": _alias,
    "aws_lambda_event_source_mapping": _mapping,
}
