"""Alarms and dashboards of the emulator are read as they were put, and judged as CloudWatch judges them."""

import importlib.util
import json
from typing import Any

import pytest
from botocore.model import OperationModel
from botocore.parsers import QueryParser
from botocore.serialize import QuerySerializer
from botocore.session import get_session

from localcloud.emulator.cloudwatch import evaluate_alarms_by_dimensions, keep_alarms_whole

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
    keep_alarms_whole(module)
    evaluate_alarms_by_dimensions(module)
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
