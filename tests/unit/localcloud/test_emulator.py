"""The repairs of the emulator end it loudly when it is no longer the one they were made for."""

import importlib.util
import json
import time
from functools import partial
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from botocore.model import OperationModel
from botocore.parsers import QueryParser
from botocore.serialize import QuerySerializer
from botocore.session import get_session

from localcloud import emulator


def test_a_version_that_renames_its_pollers_does_not_start() -> None:
    renamed = ModuleType("lambda_svc")

    with pytest.raises(SystemExit) as end:
        emulator.stop_stream_pollers(renamed)

    assert "has no _poll_kinesis, _poll_dynamodb_streams in lambda_svc" in str(end.value)
    assert emulator.PINNED in str(end.value)


@pytest.mark.parametrize(
    "repair",
    [
        emulator.keep_stream_settings,
        emulator.keep_closed_shards,
        emulator.expire_from_the_front,
        emulator.name_lambdas_actions,
        emulator.keep_alarms_whole,
        emulator.evaluate_alarms_by_dimensions,
        emulator.take_the_account_for_its_services,
        emulator.change_keys_of_log_groups,
        emulator.tell_claims_of_workflows,
        partial(emulator.authorise_aliases_by_their_keys, kms=ModuleType("kms")),
        partial(emulator.authorise_roles_by_their_paths, iam=ModuleType("iam")),
        partial(emulator.rights_of_roles, iam=ModuleType("iam")),
        partial(emulator.refuse_mappings_that_a_role_cannot_serve, may=lambda *_: True),
        partial(emulator.lose_logs_that_a_role_may_not_write, cloudwatch_logs=ModuleType("logs"), may=lambda *_: True),
    ],
)
def test_every_repair_asks_for_what_it_is_built_on(repair: object) -> None:
    assert callable(repair)

    with pytest.raises(SystemExit):
        repair(ModuleType("renamed"))


STREAM = "arn:aws:kinesis:us-east-1:000000000000:stream/s"
TABLE_STREAM = "arn:aws:dynamodb:us-east-1:000000000000:table/t/stream/2026-11-23T00:00:00.000"
BUCKET, QUEUE, TOPIC = "arn:aws:s3:::b", "arn:aws:sqs:us-east-1:000000000000:q", "arn:aws:sns:us-east-1:000000000000:t"
CALLS = "The function execution role does not have permissions to call"


@pytest.mark.parametrize(
    ("source", "destination", "lacking", "refusal"),
    [
        *((STREAM, "", (f"kinesis:{action}", STREAM), "Cannot access stream") for action in emulator.READ_STREAM),
        *(
            (TABLE_STREAM, "", (f"dynamodb:{action}", TABLE_STREAM), "Cannot access stream")
            for action in emulator.READ_TABLE_STREAM
        ),
        (
            TABLE_STREAM,
            "",
            ("dynamodb:ListStreams", "arn:aws:dynamodb:us-east-1:000000000000:table/t/stream/*"),
            "Cannot access stream",
        ),
        (STREAM, BUCKET, ("s3:ListBucket", BUCKET), f"{CALLS} ListBucket on S3"),
        (STREAM, BUCKET, ("s3:PutObject", f"{BUCKET}/*"), f"{CALLS} PutObject on S3"),
        (STREAM, QUEUE, ("sqs:SendMessage", QUEUE), f"{CALLS} SendMessage on SQS"),
        (STREAM, TOPIC, ("sns:Publish", TOPIC), f"{CALLS} Publish on SNS"),
    ],
)
def test_a_mapping_is_refused_for_each_right_that_its_role_lacks(
    source: str, destination: str, lacking: tuple[str, str], refusal: str
) -> None:
    assert emulator.missing_right(lambda *_: True, "role", source, destination) == ""

    answer = emulator.missing_right(lambda _, *asked: asked != lacking, "role", source, destination)

    assert answer.startswith(refusal)


def test_an_iterator_points_at_the_same_record_when_older_ones_expire() -> None:
    old, new = time.time() - 90_000, time.time()
    place = {"stream": "s", "shard_id": "a", "position": 3}
    records = [{"ApproximateArrivalTimestamp": arrived} for arrived in (old, old, new, new)]
    closed = {"records": [], "closed_at": old}
    stream: dict[str, Any] = {
        "StreamName": "s",
        "RetentionPeriodHours": 24,
        "shards": {"a": {"records": records}, "b": closed},
    }
    kinesis = SimpleNamespace(_shard_iterators={"i": place}, _expire_records=None, __name__="kinesis")
    emulator.expire_from_the_front(kinesis)

    kinesis._expire_records(stream)

    assert stream["shards"] == {"a": {"records": records[2:]}}
    assert place["position"] == 1


ALARM: dict[str, Any] = {
    "AlarmName": "errors",
    "AlarmDescription": "More than < 1 & 'so'",
    "Namespace": "AWS/Lambda",
    "MetricName": "Errors",
    "Dimensions": [{"Name": "FunctionName", "Value": "one"}],
    "Statistic": "Sum",
    "Period": 300,
    "EvaluationPeriods": 1,
    "DatapointsToAlarm": 1,
    "Threshold": 0.5,
    "ComparisonOperator": "GreaterThanThreshold",
    "TreatMissingData": "notBreaching",
    "ActionsEnabled": True,
    "AlarmActions": ["arn:aws:sns:us-east-1:000000000000:alarms"],
    "OKActions": ["arn:aws:sns:us-east-1:000000000000:alarms"],
    "InsufficientDataActions": ["arn:aws:sns:us-east-1:000000000000:alarms"],
}
MATH_ALARM: dict[str, Any] = {
    "AlarmName": "throttles",
    "EvaluationPeriods": 3,
    "Threshold": 1.0,
    "ComparisonOperator": "GreaterThanThreshold",
    "TreatMissingData": "missing",
    "Metrics": [
        {"Id": "sum", "Expression": "reads + 1", "ReturnData": True},
        {
            "Id": "reads",
            "MetricStat": {
                "Metric": {
                    "Namespace": "AWS/DynamoDB",
                    "MetricName": "ReadThrottleEvents",
                    "Dimensions": [{"Name": "TableName", "Value": "records"}],
                },
                "Period": 60,
                "Stat": "Sum",
            },
            "ReturnData": False,
        },
    ],
}


@pytest.fixture
def cloudwatch() -> Any:
    """ministack's CloudWatch, a copy of its own, repaired."""
    spec = importlib.util.find_spec("ministack.services.cloudwatch")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    emulator.keep_alarms_whole(module)
    emulator.evaluate_alarms_by_dimensions(module)
    return module


def query(cloudwatch: Any, operation: str, handler: str, **parameters: Any) -> dict[str, Any]:
    """What a client that speaks Query, as Terraform's does, reads in the answer."""
    model: OperationModel = get_session().get_service_model("cloudwatch").operation_model(operation)
    request = QuerySerializer().serialize_to_request(parameters, model)
    status, headers, body = getattr(cloudwatch, handler)(
        {name: [value] for name, value in request["body"].items()}, {}, False
    )
    body = body if isinstance(body, bytes) else body.encode()
    shape: Any = model.output_shape
    answer = QueryParser().parse({"status_code": status, "headers": headers, "body": body}, shape)
    return dict(answer)


@pytest.mark.parametrize("alarm", [ALARM, MATH_ALARM], ids=["one metric", "metric math"])
def test_an_alarm_is_read_as_it_was_put(cloudwatch: Any, alarm: dict[str, Any]) -> None:
    query(cloudwatch, "PutMetricAlarm", "_put_metric_alarm", **alarm)

    (read,) = query(cloudwatch, "DescribeAlarms", "_describe_alarms", AlarmNames=[alarm["AlarmName"]])["MetricAlarms"]

    assert {name: read.get(name) for name in alarm} == alarm
    assert not {"Statistic", "ExtendedStatistic", "Period"} & read.keys() - alarm.keys()


def test_what_cloudwatch_refuses_is_refused_in_query_too(cloudwatch: Any) -> None:
    answer = query(cloudwatch, "DescribeAlarms", "_describe_alarms", MaxRecords=101)

    assert answer["Error"]["Code"] == "ValidationError"


def test_a_dashboard_is_read_as_it_was_put(cloudwatch: Any) -> None:
    body = json.dumps({"widgets": [{"type": "text", "properties": {"markdown": "<a> & 'b'"}}]})
    query(cloudwatch, "PutDashboard", "_put_dashboard", DashboardName="d", DashboardBody=body)

    assert query(cloudwatch, "GetDashboard", "_get_dashboard", DashboardName="d")["DashboardBody"] == body


def state(cloudwatch: Any, **settings: Any) -> str:
    """The state of an alarm with these settings, as it is told."""
    query(cloudwatch, "PutMetricAlarm", "_put_metric_alarm", **{**ALARM, **settings})
    (read,) = query(cloudwatch, "DescribeAlarms", "_describe_alarms")["MetricAlarms"]
    return str(read["StateValue"])


def test_an_alarm_goes_off_by_its_own_dimensions_alone(cloudwatch: Any) -> None:
    cloudwatch.record_metric("AWS/Lambda", "Errors", 1, "Count", {"FunctionName": "another"})
    assert state(cloudwatch) == "OK"

    cloudwatch.record_metric("AWS/Lambda", "Errors", 1, "Count", {"FunctionName": "one"})
    assert state(cloudwatch) == "ALARM"


def test_an_alarm_goes_off_when_as_many_periods_breach_as_it_asks_for(cloudwatch: Any) -> None:
    cloudwatch.record_metric("AWS/Lambda", "Errors", 1, "Count", {"FunctionName": "one"})

    assert state(cloudwatch, EvaluationPeriods=3, DatapointsToAlarm=3) == "OK"
    assert state(cloudwatch, EvaluationPeriods=3, DatapointsToAlarm=1) == "ALARM"


@pytest.mark.parametrize(
    ("treatment", "expected"),
    [
        ("missing", "INSUFFICIENT_DATA"),
        ("ignore", "INSUFFICIENT_DATA"),  # as it was before
        ("breaching", "ALARM"),
        ("notBreaching", "OK"),
    ],
)
def test_missing_data_is_treated_as_the_alarm_says(cloudwatch: Any, treatment: str, expected: str) -> None:
    assert state(cloudwatch, TreatMissingData=treatment) == expected


def test_ignored_missing_data_leaves_an_alarm_on(cloudwatch: Any) -> None:
    cloudwatch.record_metric("AWS/Lambda", "Errors", 1, "Count", {"FunctionName": "one"})
    assert state(cloudwatch, TreatMissingData="ignore") == "ALARM"

    cloudwatch._metrics.clear()

    assert state(cloudwatch, TreatMissingData="ignore") == "ALARM"
