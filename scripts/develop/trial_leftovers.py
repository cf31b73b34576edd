"""What a trial of `make acceptance` has left in an account, and what removes that which Terraform does not know."""

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import boto3
from botocore.exceptions import ClientError

TAG = "Acceptance"
"""The tag by which a trial's keys, which have no names, are found; its value is the trial's prefix."""


def left(session: boto3.Session, prefix: str) -> list[str]:
    """Return the names of all resources of the system's types whose names have this prefix; state buckets apart.

    "" finds those of the whole account, which is for an account of the tests' own.
    """
    found = [
        *_all(session, "kinesis", "list_streams", "StreamNames"),
        *_all(session, "dynamodb", "list_tables", "TableNames"),
        *_named(session, "lambda", "list_functions", "Functions", "FunctionName"),
        *_named(session, "lambda", "list_event_source_mappings", "EventSourceMappings", "FunctionArn"),
        *_named(session, "logs", "describe_log_groups", "logGroups", "logGroupName"),
        *_named(session, "iam", "list_roles", "Roles", "RoleName"),
        *(each for each in _buckets(session) if "tfstate" not in each),
        *_named(session, "cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName"),
        *_named(session, "cloudwatch", "list_dashboards", "DashboardEntries", "DashboardName"),
        *_named(session, "sns", "list_topics", "Topics", "TopicArn"),
        *_all(session, "sqs", "list_queues", "QueueUrls"),
    ]
    # At the beginning of a name, also of one in an ARN, a URL or a path.
    return [each for each in found if re.search(rf"(^|[:/]){re.escape(prefix)}", each)] + _keys(session, prefix)


def _all(session: boto3.Session, service: Any, operation: str, key: str, **arguments: Any) -> Iterator[Any]:
    client: Any = session.client(service)  # the stubs have no overload for a service by name
    for page in client.get_paginator(operation).paginate(**arguments):
        yield from page.get(key, [])


def _named(session: boto3.Session, service: Any, operation: str, key: str, name: str) -> Iterator[str]:
    return (str(each[name]) for each in _all(session, service, operation, key))


def _buckets(session: boto3.Session) -> list[str]:
    return [bucket["Name"] for bucket in session.client("s3").list_buckets()["Buckets"]]


def _keys(session: boto3.Session, prefix: str) -> list[str]:
    """The keys that are not about to be deleted, which takes KMS days. Keys have no names, but tags."""
    kms = session.client("kms")

    def is_left(key: str) -> bool:
        with suppress(ClientError):  # a key of others, that may not be looked at
            about = kms.describe_key(KeyId=key)["KeyMetadata"]
            if about.get("KeyManager") != "CUSTOMER" or about.get("KeyState") == "PendingDeletion":
                return False
            tags = kms.list_resource_tags(KeyId=key)["Tags"] if prefix else []
            return not prefix or any((tag["TagKey"], tag["TagValue"]) == (TAG, prefix) for tag in tags)
        return False

    return [each["KeyArn"] for each in _all(session, "kms", "list_keys", "Keys") if is_left(each["KeyId"])]


def remove_probes(session: boto3.Session, prefix: str) -> None:
    """Delete what the tests make beside Terraform (tests/acceptance/probe.py), by the prefix of its names."""
    lambda_, iam, s3 = session.client("lambda"), session.client("iam"), session.client("s3")
    for mapping in list(_all(session, "lambda", "list_event_source_mappings", "EventSourceMappings")):
        if f":{prefix}" in mapping["FunctionArn"]:
            with suppress(lambda_.exceptions.ResourceNotFoundException, lambda_.exceptions.ResourceInUseException):
                lambda_.delete_event_source_mapping(UUID=mapping["UUID"])
    for function in list(_named(session, "lambda", "list_functions", "Functions", "FunctionName")):
        if function.startswith(prefix):
            lambda_.delete_function(FunctionName=function)
    for stream in list(_all(session, "kinesis", "list_streams", "StreamNames")):
        if stream.startswith(prefix):
            session.client("kinesis").delete_stream(StreamName=stream, EnforceConsumerDeletion=True)
    for table in list(_all(session, "dynamodb", "list_tables", "TableNames")):
        if table.startswith(prefix):
            session.client("dynamodb").delete_table(TableName=table)
    for queue in list(_all(session, "sqs", "list_queues", "QueueUrls", QueueNamePrefix=prefix)):
        session.client("sqs").delete_queue(QueueUrl=queue)
    for bucket in _buckets(session):
        if bucket.startswith(prefix):
            session.resource("s3").Bucket(bucket).object_versions.delete()
            s3.delete_bucket(Bucket=bucket)
    for role in list(_named(session, "iam", "list_roles", "Roles", "RoleName")):
        if role.startswith(prefix):
            for policy in iam.list_role_policies(RoleName=role)["PolicyNames"]:
                iam.delete_role_policy(RoleName=role, PolicyName=policy)
            iam.delete_role(RoleName=role)
    for group in list(_named(session, "logs", "describe_log_groups", "logGroups", "logGroupName")):
        if group.startswith(f"/aws/lambda/{prefix}"):
            session.client("logs").delete_log_group(logGroupName=group)


def remove_monitoring(session: boto3.Session, prefix: str) -> None:
    """Delete a trial's alarms, dashboard, topic and key, which no plan takes over: AWS lets them be made again."""
    cloudwatch, name = session.client("cloudwatch"), f"{prefix}game-scores"
    alarms = [
        each
        for each in _named(session, "cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName")
        if _is(each, name)
    ]
    if alarms:
        cloudwatch.delete_alarms(AlarmNames=alarms)
    for dashboard in list(_named(session, "cloudwatch", "list_dashboards", "DashboardEntries", "DashboardName")):
        if _is(dashboard, name):
            cloudwatch.delete_dashboards(DashboardNames=[dashboard])
    for topic in list(_named(session, "sns", "list_topics", "Topics", "TopicArn")):
        if _is(topic.rpartition(":")[2], name):
            session.client("sns").delete_topic(TopicArn=topic)
    for key in _keys(session, prefix):
        session.client("kms").schedule_key_deletion(KeyId=key.rpartition("/")[2], PendingWindowInDays=7)


def _is(found: str, name: str) -> bool:
    return found == name or found.startswith(f"{name}-")
