"""Alarms and dashboard look at metrics that there are: by name, dimensions and values."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import boto3
import pytest

from tests.acceptance.evidence import Evidence
from tests.integration.deployment import System
from tests.waiting import eventually

_DYNAMODB = "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/metrics-dimensions.html"
_KINESIS = "https://docs.aws.amazon.com/streams/latest/dev/monitoring-with-cloudwatch.html#kinesis-metrics-stream"
_LAMBDA = "https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html"

# What AWS documents of the metrics that may be of use here: no API lists a metric that was never emitted.
DOCUMENTED: dict[tuple[str, frozenset[str]], tuple[str, set[str]]] = {
    ("AWS/Kinesis", frozenset({"StreamName"})): (
        _KINESIS,
        {
            "GetRecords.IteratorAgeMilliseconds",
            "IncomingBytes",
            "IncomingRecords",
            "ReadProvisionedThroughputExceeded",
            "WriteProvisionedThroughputExceeded",
        },
    ),
    ("AWS/Lambda", frozenset({"FunctionName"})): (
        _LAMBDA,
        {"DestinationDeliveryFailures", "Duration", "Errors", "Invocations", "IteratorAge", "Throttles"},
    ),
    ("AWS/Lambda", frozenset({"EventSourceMappingUUID"})): (
        _LAMBDA,
        {
            "DroppedEventCount",
            "FailedInvokeEventCount",
            "FilteredOutEventCount",
            "InvokedEventCount",
            "OnFailureDestinationDeliveredEventCount",
            "PolledEventCount",
        },
    ),
    ("AWS/DynamoDB", frozenset({"TableName"})): (
        _DYNAMODB,
        {
            "ConsumedReadCapacityUnits",
            "ConsumedWriteCapacityUnits",
            "ReadThrottleEvents",
            "TransactionConflict",
            "WriteThrottleEvents",
        },
    ),
    ("AWS/DynamoDB", frozenset({"TableName", "Operation"})): (
        _DYNAMODB,
        {"SuccessfulRequestLatency", "SystemErrors", "ThrottledRequests"},
    ),
}


class Metric(NamedTuple):
    """A metric that is looked at, or emitted."""

    namespace: str
    name: str
    dimensions: frozenset[tuple[str, str]]


def dimensions_of(alarm: Mapping[str, Any]) -> frozenset[tuple[str, str]]:
    return frozenset((each["Name"], each["Value"]) for each in alarm["Dimensions"])


def alarms(system: System) -> dict[str, Any]:
    """The alarms that are deployed, by name."""
    pages = boto3.client("cloudwatch").get_paginator("describe_alarms").paginate()
    ours = set(system.outputs["alarms"].values())
    return {each["AlarmName"]: each for page in pages for each in page["MetricAlarms"] if each["AlarmName"] in ours}


def drawn(system: System) -> Iterator[Metric]:
    """The metrics on the dashboard that is deployed."""
    dashboard = boto3.client("cloudwatch").get_dashboard(DashboardName=system.outputs["dashboard"])
    for widget in json.loads(dashboard["DashboardBody"])["widgets"]:
        for namespace, name, *rest in widget["properties"].get("metrics", []):
            pairs = [each for each in rest if isinstance(each, str)]
            yield Metric(namespace, name, frozenset(zip(pairs[::2], pairs[1::2], strict=True)))


@pytest.fixture(scope="module")
def watched(system: System) -> set[Metric]:
    """All that alarms and dashboard look at."""
    alarmed = {Metric(each["Namespace"], each["MetricName"], dimensions_of(each)) for each in alarms(system).values()}
    return alarmed | set(drawn(system))


def embedded(lines: list[str]) -> Iterator[Metric]:
    """The metrics in what a function has logged, as CloudWatch reads them."""
    for fields in (json.loads(line) for line in lines if '"_aws"' in line):
        for each in fields["_aws"]["CloudWatchMetrics"]:
            for names in each["Dimensions"]:
                dimensions = frozenset((name, fields[name]) for name in names)
                yield from (Metric(each["Namespace"], metric["Name"], dimensions) for metric in each["Metrics"])


@pytest.fixture(scope="module")
def emitted(system: System) -> set[Metric]:
    """All metrics of our own: those that the functions log once a score has passed, and that reconcile publishes."""
    boto3.client("kinesis").put_record(
        StreamName=system.outputs["stream"]["name"],
        PartitionKey="9100",
        Data=json.dumps({"RecordID": 9100, "Username": "alarmed", "Score": 1}),
    )

    def logged(name: str) -> set[Metric]:
        return eventually(lambda: set(embedded(system.logged(name))), f"metrics of {name}", "logs")

    functions = [logged(name) for name in system.outputs["functions"]]
    assert system.command("reconcile", "--pause", "0.2").returncode in (0, 2)

    def published() -> set[Metric]:
        """Those of this system: others of the account publish theirs beside."""
        pages = boto3.client("cloudwatch").get_paginator("list_metrics").paginate(Namespace="GameScores")
        found = {
            Metric(each["Namespace"], each["MetricName"], dimensions_of(each))
            for page in pages
            for each in page["Metrics"]
        }
        return {metric for metric in found if ("Stage", system.stage.name) in metric.dimensions}

    eventually(lambda: {"Drift", "NotJudged"} <= {each.name for each in published()}, "reconcile's metrics", "metrics")
    return published().union(*functions)


def test_every_metric_of_our_own_that_is_watched_is_one_that_our_code_emits(
    watched: set[Metric], emitted: set[Metric]
) -> None:
    ours = {metric for metric in watched if not metric.namespace.startswith("AWS/")}

    assert len(ours) > 10
    assert ours - emitted == set()


def test_every_metric_of_our_own_is_watched(watched: set[Metric], emitted: set[Metric]) -> None:
    assert {metric.name for metric in emitted - watched} <= {"Records"}  # which Invocations and Applied tell


def test_every_metric_of_aws_that_is_watched_is_documented_with_these_dimensions(watched: set[Metric]) -> None:
    theirs = {metric for metric in watched if metric.namespace.startswith("AWS/")}

    undocumented = [
        (metric, url)
        for metric in theirs
        for url, names in [DOCUMENTED.get((metric.namespace, frozenset(dict(metric.dimensions))), ("", set()))]
        if metric.name not in names
    ]

    assert len(theirs) > 20
    assert undocumented == []


def test_every_metric_that_is_watched_is_of_something_deployed(system: System, watched: set[Metric]) -> None:
    functions = system.outputs["functions"].values()
    there = {
        "StreamName": {system.outputs["stream"]["name"]},
        "FunctionName": {each["name"] for each in functions},
        "EventSourceMappingUUID": {each["mapping_uuid"] for each in functions},
        "TableName": {each["name"] for each in system.outputs["tables"].values()},
        "Operation": {"BatchGetItem", "PutItem", "TransactWriteItems"},  # what the functions' adapters call
        "Stage": {system.stage.name},
    }

    assert [each for metric in watched for each in metric.dimensions if each[1] not in there[each[0]]] == []


@pytest.mark.parity("MetricsConfig EventCount")
def test_mappings_count_the_events_that_alarms_look_at(system: System) -> None:
    mappings = {function["mapping_uuid"] for function in system.outputs["functions"].values()}

    def counting() -> set[str]:
        pages = boto3.client("cloudwatch").get_paginator("list_metrics").paginate(MetricName="PolledEventCount")
        return {value for page in pages for each in page["Metrics"] for _, value in dimensions_of(each)}

    eventually(lambda: mappings <= counting(), what="event counts of both mappings", seconds="metrics")


def test_only_cloudwatch_publishes_and_only_for_our_own_alarms(system: System) -> None:
    topic = system.outputs["alarm_topic_arn"]
    attributes = boto3.client("sns").get_topic_attributes(TopicArn=topic)["Attributes"]
    account, region = boto3.client("sts").get_caller_identity()["Account"], system.stage.region
    key_policy = boto3.client("kms").get_key_policy(KeyId=attributes["KmsMasterKeyId"], PolicyName="default")["Policy"]

    for policy, actions in (
        (attributes["Policy"], {"sns:Publish"}),
        (key_policy, {"kms:Decrypt", "kms:GenerateDataKey"}),
    ):
        statements = json.loads(policy)["Statement"]
        (allowed,) = (each for each in statements if each["Principal"] == {"Service": "cloudwatch.amazonaws.com"})
        assert set([allowed["Action"]] if isinstance(allowed["Action"], str) else allowed["Action"]) == actions
        assert allowed["Condition"] == {
            "StringEquals": {"aws:SourceAccount": account},
            "ArnLike": {"aws:SourceArn": f"arn:aws:cloudwatch:{region}:{account}:alarm:{system.prefix}game-scores-*"},
        }
    (denied,) = (each for each in json.loads(attributes["Policy"])["Statement"] if each["Effect"] == "Deny")
    assert (denied["Principal"], denied["Condition"]) == ("*", {"Bool": {"aws:SecureTransport": "false"}})
    names = [each["AlarmArn"].split(":alarm:")[1] for each in alarms(system).values()]
    assert [name for name in names if not name.startswith(f"{system.prefix}game-scores-")] == []


def test_an_alarm_says_what_it_means_and_where_to_read_on(system: System) -> None:
    for key, name in system.outputs["alarms"].items():
        kind, _, link = alarms(system)[name]["AlarmDescription"].rpartition(". ")

        assert kind
        assert key.startswith(link.removeprefix("docs/runbook.md#"))


@contextmanager
def subscriber(system: System) -> Iterator[str]:
    """A queue that gets what the topic is told; gives its URL."""
    sqs, sns, topic = boto3.client("sqs"), boto3.client("sns"), system.outputs["alarm_topic_arn"]
    queue = sqs.create_queue(QueueName=f"{system.prefix}probe-alarmed")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    allowed = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
    subscription = sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, ReturnSubscriptionArn=True)
    try:
        yield queue
    finally:
        sns.unsubscribe(SubscriptionArn=subscription["SubscriptionArn"])
        sqs.delete_queue(QueueUrl=queue)


def told(queue: str) -> list[str]:
    """The names of the alarms that have gone off, according to the messages in a queue. Takes the messages out."""
    messages = boto3.client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
    news = [json.loads(json.loads(message["Body"])["Message"]) for message in messages]
    return [each["AlarmName"] for each in news if each["NewStateValue"] == "ALARM"]


def test_an_alarm_that_goes_off_tells_the_topic_through_its_encryption(system: System, evidence: Evidence) -> None:
    name = system.outputs["alarms"]["stream-write-throttled-Demo-Stream"]
    cloudwatch = boto3.client("cloudwatch")

    with subscriber(system) as queue:
        for state in ("OK", "ALARM"):
            # https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_SetAlarmState.html
            cloudwatch.set_alarm_state(AlarmName=name, StateValue=state, StateReason="acceptance test")
        assert name in eventually(lambda: told(queue), "the alarm in the queue", "alarms")

    evidence.keep("alarms and their states", {each: alarm["StateValue"] for each, alarm in alarms(system).items()})
