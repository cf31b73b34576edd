"""What a role may do, by its policies, at this moment."""

from collections.abc import Callable
from typing import Any

# Whether a role, by its ARN, may do an action to a resource.
May = Callable[[str, str, str], bool]

ROLE_RIGHTS = (
    "iam_evaluator.EvalContext",
    "iam_evaluator.evaluate",
    "iam_evaluator.combine_resource_policy",
    "iam_evaluator._gather_role_policies",
    "iam_evaluator._permissions_boundary",
    "iam_evaluator._resource_policy",
    "iam._roles",
)
"""What `rights_of_roles` uses of ministack."""

# What Lambda asks of a function's role before it reads a stream:
# https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-create.html
# https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-iam.html
READ_STREAM = ("DescribeStream", "DescribeStreamSummary", "GetRecords", "GetShardIterator", "ListShards")
READ_TABLE_STREAM = ("DescribeStream", "GetRecords", "GetShardIterator")
# And before it sends to a destination, each of what is below the bucket, or of the resource itself:
# https://docs.aws.amazon.com/lambda/latest/dg/kinesis-on-failure-destination.html
DELIVER = {
    "s3": {"ListBucket": "", "PutObject": "/*"},
    "sns": {"Publish": ""},
    "sqs": {"SendMessage": ""},
}


def rights_of_roles(iam_evaluator: Any, iam: Any) -> May:
    """What a role may do at this moment, by its policies and its boundary, and the resource's own policy."""

    def may(role: str, action: str, resource: str) -> bool:
        account, name = role.split(":")[4], role.rpartition("/")[2]
        asked = iam_evaluator.EvalContext(
            principal_arn=f"arn:aws:sts::{account}:assumed-role/{name}/lambda",
            principal_type="AssumedRole",
            principal_account=account,
            action=action,
            resource_arn=resource,
            region=resource.split(":")[3],
        )
        limits = iam_evaluator._permissions_boundary(iam._roles, name, account)
        answer = iam_evaluator.evaluate(asked, iam_evaluator._gather_role_policies(name, account), *limits)
        if found := iam_evaluator._resource_policy(action.partition(":")[0], resource):
            answer = iam_evaluator.combine_resource_policy(answer, asked, *found, limits=limits)
        return bool(answer.decision == "Allow")

    return may


def missing_right(may: May, role: str, source: str, destination: str) -> str:
    """Why a role cannot serve a stream's mapping, in AWS's words; "" when it can."""
    stream, consumer, _ = source.partition("/consumer/")
    if consumer:
        needed = [(f"kinesis:{action}", stream) for action in ("DescribeStream", "DescribeStreamSummary", "ListShards")]
        needed.append(("kinesis:SubscribeToShard", source))
        named = "SubscribeToShard, DescribeStream, DescribeStreamSummary and ListShards"  # these words are ours
    elif ":kinesis:" in source:
        needed = [(f"kinesis:{action}", source) for action in READ_STREAM]
        # ListStreams is in AWS's message, but not among what its guide asks for.
        named = "GetRecords, GetShardIterator, DescribeStream, ListShards, and ListStreams"
    else:
        needed = [(f"dynamodb:{action}", source) for action in READ_TABLE_STREAM]
        # Listing names a table, not one of its streams.
        needed.append(("dynamodb:ListStreams", f"{source.partition('/stream/')[0]}/stream/*"))
        named = "GetRecords, GetShardIterator, DescribeStream, and ListStreams"
    if not all(may(role, *each) for each in needed):
        return (
            f"Cannot access stream {source}. Please ensure the role can perform the {named} Actions "
            "on your stream in IAM."
        )
    service = destination.split(":")[2] if destination else ""
    for action, below in DELIVER.get(service, {}).items():
        if not may(role, f"{service}:{action}", f"{destination}{below}"):
            return f"The function execution role does not have permissions to call {action} on {service.upper()}"
    return ""
