"""The engine and the repaired emulator, as the processes that `make cloud-up` starts."""

import base64
import json
import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.probe import policy
from tests.localcloud.conftest import Deployment
from tests.localcloud.processes import Cloud
from tests.simulation.cases import Behaviour
from tests.waiting import eventually

REPORT = ["ReportBatchItemFailures"]


def test_a_function_sees_kinesis_records_as_in_aws(deployment: Deployment) -> None:
    source = deployment.stream()
    deployment.put("a", "b")

    deployment.map(source)

    assert deployment.await_payloads("a", "b") == [["a", "b"]]
    record = deployment.invocations()[0]["event"]["Records"][0]
    sequence = record["kinesis"].pop("sequenceNumber")
    assert record["kinesis"].pop("approximateArrivalTimestamp") == pytest.approx(time.time(), abs=30)
    assert record == {
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": "one",
            "data": base64.b64encode(b"a").decode(),
        },
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": f"shardId-000000000000:{sequence}",
        "eventName": "aws:kinesis:record",
        "invokeIdentityArn": f"arn:aws:iam::000000000000:role/{deployment.name}",
        "awsRegion": "us-east-1",
        "eventSourceARN": source,
    }


def test_a_function_sees_changes_of_a_table_as_in_aws(deployment: Deployment) -> None:
    source = deployment.table()
    deployment.map(source)

    deployment.write("a")

    deployment.await_payloads("a")
    record = deployment.invocations()[0]["event"]["Records"][0]
    change = record.pop("dynamodb")
    assert change.pop("SequenceNumber").isdigit()
    assert change.pop("ApproximateCreationDateTime") == pytest.approx(time.time(), abs=30)
    key = change["Keys"]["Id"]
    image = {"Id": key, "Kind": {"S": "a"}}
    size = 2 * (len("Id") + len(key["S"])) + len("Kind") + len("a")
    assert change == {"Keys": {"Id": key}, "NewImage": image, "SizeBytes": size, "StreamViewType": "NEW_IMAGE"}
    assert re.fullmatch("[0-9a-f]{32}", record.pop("eventID"))
    assert record == {
        "eventName": "INSERT",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "us-east-1",
        "eventSourceARN": source,
    }


@pytest.mark.parametrize("service", ["kinesis", "dynamodb"])
def test_a_poison_record_is_isolated_and_kept_and_the_shard_moves_on(deployment: Deployment, service: str) -> None:
    settings: dict[str, Any] = {"BisectBatchOnFunctionError": True, "MaximumRetryAttempts": 1}
    settings["DestinationConfig"] = {"OnFailure": {"Destination": deployment.bucket()}}
    if service == "kinesis":
        source = deployment.stream()
        deployment.put("a", "b", "poison", "d")
    else:
        source = deployment.table()
        for text in ("a", "b", "poison", "d"):
            deployment.write(text)

    uuid = deployment.map(source, **settings)

    eventually(lambda: deployment.seen()[-1:] == [["d"]], "the record after the poison, by itself")
    assert deployment.seen() == [
        ["a", "b", "poison", "d"],
        ["a", "b"],
        ["poison", "d"],
        ["poison"],
        ["poison"],
        ["d"],
    ]
    [record] = deployment.discarded()
    today = datetime.now(UTC)
    shard = "shardId-000000000000" if service == "kinesis" else "shardId-00000000000000000000-00000000"
    assert record["key"].startswith(f"aws/lambda/{uuid}/{shard}/{today:%Y/%m/%d}/{today:%Y-%m-%d}T")
    assert record["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert record["requestContext"]["approximateInvokeCount"] == 2
    assert record["responseContext"]["functionError"] == "Unhandled"
    assert isinstance(record["payload"], str), "AWS escapes the event"
    assert json.loads(record["payload"])["Records"] == deployment.invocations()[3]["event"]["Records"]


@pytest.mark.parametrize("service", ["sqs", "sns"])
def test_metadata_of_a_discarded_batch_goes_to_a_queue_or_a_topic(deployment: Deployment, service: str) -> None:
    sqs = deployment.cloud.client("sqs")
    queue = sqs.create_queue(QueueName=f"{deployment.name}-failed")["QueueUrl"]
    arn = f"arn:aws:sqs:us-east-1:000000000000:{deployment.name}-failed"
    if service == "sns":
        sns = deployment.cloud.client("sns")
        topic = sns.create_topic(Name=deployment.name)["TopicArn"]
        allowed = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": arn}
        sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy(allowed)})
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
        arn = topic
    source = deployment.stream()
    deployment.put("poison")

    deployment.map(source, MaximumRetryAttempts=0, DestinationConfig={"OnFailure": {"Destination": arn}})

    messages = eventually(lambda: sqs.receive_message(QueueUrl=queue).get("Messages"), "a message")
    document = json.loads(messages[0]["Body"])
    assert document["KinesisBatchInfo"]["streamArn"] == source
    assert "payload" not in document


def test_a_changed_mapping_behaves_anew_without_a_restart(deployment: Deployment) -> None:
    source = deployment.stream()
    bucket = deployment.bucket()
    uuid = deployment.map(source, BatchSize=1)
    deployment.put("poison", "next")
    eventually(lambda: len(deployment.seen()) > 2, "retries without end")

    deployment.update(uuid, MaximumRetryAttempts=0, DestinationConfig={"OnFailure": {"Destination": bucket}})

    deployment.await_payloads("next")
    assert len(deployment.discarded()) == 1


def test_a_disabled_mapping_rests_and_goes_on_where_it_was(deployment: Deployment) -> None:
    uuid = deployment.map(deployment.stream())
    deployment.put("a")
    deployment.await_payloads("a")

    deployment.update(uuid, Enabled=False)
    eventually(lambda: uuid not in deployment.cloud.heartbeat()["mappings"], "the mapping rests")
    deployment.put("b")
    deployment.update(uuid, Enabled=True)

    assert deployment.await_payloads("b") == [["a"], ["b"]]


def test_without_the_right_to_read_nothing_arrives_and_the_problem_is_told(deployment: Deployment) -> None:
    uuid = deployment.map(deployment.stream())
    deployment.deny("kinesis:GetRecords")

    deployment.put("a")

    eventually(lambda: "GetRecords" in deployment.problem(uuid), "the problem is told")
    assert deployment.problem(uuid).startswith("PROBLEM: ")
    assert deployment.seen() == []


def test_without_the_right_to_write_to_the_destination_the_invocation_record_waits(deployment: Deployment) -> None:
    destination = {"OnFailure": {"Destination": deployment.bucket()}}
    uuid = deployment.map(deployment.stream(), MaximumRetryAttempts=0, DestinationConfig=destination)
    deployment.deny("s3:PutObject")

    deployment.put("poison")

    eventually(lambda: "PutObject" in deployment.problem(uuid), "the problem is told")
    assert deployment.discarded() == []


@pytest.mark.parametrize(
    ("service", "denied", "message"),
    [
        ("kinesis", "kinesis:DescribeStreamSummary", "Please ensure the role can perform the GetRecords"),
        ("dynamodb", "dynamodb:ListStreams", "Please ensure the role can perform the GetRecords"),
        ("kinesis", "s3:ListBucket", "The function execution role does not have permissions to call ListBucket on S3"),
    ],
)
def test_a_mapping_that_the_functions_role_cannot_serve_is_neither_made_nor_changed(
    deployment: Deployment, service: str, denied: str, message: str
) -> None:
    source = deployment.stream() if service == "kinesis" else deployment.table()
    destination = {"OnFailure": {"Destination": deployment.bucket()}}
    uuid = deployment.map(source, BatchSize=7, DestinationConfig=destination)

    deployment.deny(denied)

    lambda_ = deployment.cloud.client("lambda")
    with pytest.raises(lambda_.exceptions.InvalidParameterValueException, match=message):
        deployment.map(source, FunctionName=f"{deployment.name}:$LATEST", DestinationConfig=destination)
    with pytest.raises(lambda_.exceptions.InvalidParameterValueException, match=message):
        deployment.update(uuid, BatchSize=8)
    assert lambda_.get_event_source_mapping(UUID=uuid)["BatchSize"] == 7


@pytest.mark.parametrize("denied", ["logs:CreateLogStream", "logs:PutLogEvents", "logs:CreateLogGroup"])
def test_without_the_right_to_log_a_function_runs_and_its_log_is_lost(deployment: Deployment, denied: str) -> None:
    lambda_, logs = deployment.cloud.client("lambda"), deployment.cloud.client("logs")
    if denied != "logs:CreateLogGroup":
        logs.create_log_group(logGroupName=f"/aws/lambda/{deployment.name}")
    deployment.deny(denied)

    answer = lambda_.invoke(FunctionName=deployment.name, Payload=json.dumps({"Records": []}))

    assert "FunctionError" not in answer
    assert deployment.seen() == [[]]
    groups = logs.describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{deployment.name}")["logGroups"]
    assert [deployment.logged() for _ in groups] == ([] if denied == "logs:CreateLogGroup" else [[]])


def test_a_split_and_a_merge_lose_nothing_and_keep_order(deployment: Deployment) -> None:
    kinesis = deployment.cloud.client("kinesis")
    source = deployment.stream()
    deployment.put("a1", "a2", key="a")
    deployment.put("b1", "b2", key="b")

    kinesis.split_shard(StreamName=deployment.name, ShardToSplit="shardId-000000000000", NewStartingHashKey=str(2**127))
    deployment.put("a3", key="a")
    deployment.put("b3", key="b")
    kinesis.merge_shards(
        StreamName=deployment.name,
        ShardToMerge="shardId-000000000001",
        AdjacentShardToMerge="shardId-000000000002",
    )
    deployment.put("a4", key="a")
    deployment.map(source, BatchSize=1)

    seen = [text for [text] in deployment.await_payloads("a4", "b3")]
    assert [text for text in seen if text.startswith("a")] == ["a1", "a2", "a3", "a4"]
    assert [text for text in seen if text.startswith("b")] == ["b1", "b2", "b3"]
    summary = kinesis.describe_stream_summary(StreamName=deployment.name)["StreamDescriptionSummary"]
    assert summary["OpenShardCount"] == 1


def test_a_changed_shard_count_keeps_the_parents_with_their_data(deployment: Deployment) -> None:
    kinesis = deployment.cloud.client("kinesis")
    source = deployment.stream(shards=3)
    deployment.put("before")

    kinesis.update_shard_count(StreamName=deployment.name, TargetShardCount=2, ScalingType="UNIFORM_SCALING")
    deployment.put("after")
    deployment.map(source)

    assert deployment.await_payloads("before", "after") == [["before"], ["after"]]
    shards = kinesis.list_shards(StreamName=deployment.name)["Shards"]
    still_open = [s for s in shards if "EndingSequenceNumber" not in s["SequenceNumberRange"]]
    assert [s["HashKeyRange"]["StartingHashKey"] for s in still_open] == ["0", str(2**127)]


def test_settings_that_the_emulator_drops_are_kept(deployment: Deployment) -> None:
    since = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    uuid = deployment.map(
        deployment.stream(),
        StartingPosition="AT_TIMESTAMP",
        StartingPositionTimestamp=since,
        MetricsConfig={"Metrics": ["EventCount"]},
    )

    mapping = deployment.cloud.client("lambda").get_event_source_mapping(UUID=uuid)

    assert mapping["StartingPositionTimestamp"] == since
    assert mapping["MetricsConfig"] == {"Metrics": ["EventCount"]}
    assert mapping["BatchSize"] == 100


def test_a_tumbling_window_carries_its_state_from_batch_to_batch(cloud: Cloud) -> None:
    deployment = Deployment(cloud, Behaviour(answers={"state": {"n": 1}}))
    try:
        deployment.map(deployment.stream(), TumblingWindowInSeconds=2)
        deployment.put("a")

        eventually(lambda: deployment.seen() == [["a"], []], "the window was processed")

        first, final = [report["event"] for report in deployment.invocations()]
        assert (first["state"], first["isFinalInvokeForWindow"]) == ({}, False)
        assert (final["state"], final["isFinalInvokeForWindow"]) == ({"n": 1}, True)
        assert final["window"] == first["window"]
    finally:
        deployment.delete_mappings()


def test_a_consumer_of_enhanced_fan_out_gets_all_records_through_a_split(deployment: Deployment) -> None:
    kinesis = deployment.cloud.client("kinesis")
    stream = deployment.stream()
    consumer = kinesis.register_stream_consumer(StreamARN=stream, ConsumerName="c")["Consumer"]["ConsumerARN"]
    deployment.deny("kinesis:GetRecords")
    deployment.put("before")

    deployment.map(consumer)

    deployment.await_payloads("before")
    deployment.put("pushed")
    deployment.await_payloads("pushed")
    kinesis.split_shard(StreamName=deployment.name, ShardToSplit="shardId-000000000000", NewStartingHashKey=str(2**127))
    deployment.put("after")
    assert deployment.await_payloads("after") == [["before"], ["pushed"], ["after"]]
    record = deployment.invocations()[0]["event"]["Records"][0]
    assert record["eventSourceARN"] == consumer
    assert record["eventID"].startswith("shardId-000000000000:")


def test_metrics_are_put_as_aws_puts_them(deployment: Deployment) -> None:
    uuid = deployment.map(deployment.stream(), MetricsConfig={"Metrics": ["EventCount"]})
    deployment.put("a", "b")
    cloudwatch = deployment.cloud.client("cloudwatch")

    def total(name: str, dimension: str, value: str) -> float:
        points = cloudwatch.get_metric_statistics(
            Namespace="AWS/Lambda",
            MetricName=name,
            Dimensions=[{"Name": dimension, "Value": value}],
            StartTime=datetime.now(UTC) - timedelta(hours=1),
            EndTime=datetime.now(UTC) + timedelta(hours=1),
            Period=3600,
            Statistics=["Sum"],
        )["Datapoints"]
        return sum(float(point["Sum"]) for point in points)

    eventually(lambda: total("InvokedEventCount", "EventSourceMappingUUID", uuid) == 2, "events are counted")
    eventually(lambda: total("IteratorAge", "FunctionName", deployment.name) > 0, "ages are told")


def test_a_killed_engine_loses_nothing(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path)
    try:
        cloud.begin()
        deployment = Deployment(cloud)
        deployment.map(deployment.stream(), BatchSize=5)
        expected = []
        for round_ in range(4):
            texts = [f"{round_}.{number}" for number in range(25)]
            expected += texts
            deployment.put(*texts)
            time.sleep(0.1 * round_)  # so that each kill finds the engine in another place
            cloud.kill_engine()
            cloud.begin()

        seen = [text for batch in deployment.await_payloads(*expected) for text in batch]

        assert list(dict.fromkeys(seen)) == expected
    finally:
        cloud.down()


def test_an_emulator_that_goes_away_is_waited_for(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path)
    try:
        cloud.begin()
        before = Deployment(cloud)
        gone = before.map(before.stream())
        before.put("a")
        before.await_payloads("a")
        cloud.kill_emulator()
        cloud.begin_emulator()
        deployment = Deployment(cloud, name=before.name)
        deployment.map(deployment.stream())

        deployment.put("a")

        deployment.await_payloads("a")
        eventually(lambda: not list((tmp_path / "checkpoints").glob(f"{gone}*")), "its checkpoint is gone")
    finally:
        cloud.down()
