"""What a function's owner sees: the tail of its log, its log, what it took, and the metrics that it logs."""

import base64
import json
from typing import Any
from uuid import uuid4

import pytest

from tests.acceptance.probe import package, policy
from tests.localcloud.processes import Cloud
from tests.waiting import eventually

HANDLER = """
import json, time

HELD = []

def handler(event, context):
    HELD.append(bytearray(event.get("megabytes", 0) * 1024 * 1024))
    for number in range(event.get("lines", 0)):
        print(event["name"], number)
    if "metric" in event:
        metrics = [{"Name": "Parked", "Unit": "Count"}]
        directive = {"Namespace": "Test", "Dimensions": [["function"]], "Metrics": metrics}
        aws = {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]}
        print(json.dumps({"_aws": aws, "function": context.function_name, "Parked": event["metric"]}))
    if event.get("fails"):
        raise ValueError("as asked")
    return event
"""


class Function:
    """A function that logs, holds memory and fails as it is told."""

    def __init__(self, cloud: Cloud, log_format: str) -> None:
        self.name = f"t-{uuid4().hex[:8]}"
        self._cloud = cloud
        iam = cloud.client_of("iam")
        trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        role = iam.create_role(RoleName=self.name, AssumeRolePolicyDocument=policy(trust))["Role"]["Arn"]
        allowed = {"Effect": "Allow", "Action": "logs:*", "Resource": "*"}
        iam.put_role_policy(RoleName=self.name, PolicyName="log", PolicyDocument=policy(allowed))
        cloud.client_of("lambda").create_function(
            FunctionName=self.name,
            Runtime="python3.11",
            Role=role,
            Handler="function.handler",
            Code={"ZipFile": package({"function.py": HANDLER})},
            LoggingConfig={"LogFormat": log_format},
        )

    def invoke(self, **event: Any) -> list[str]:
        """Run the function; the lines of the tail of its log."""
        answer = self._cloud.client_of("lambda").invoke(
            FunctionName=self.name, LogType="Tail", Payload=json.dumps(event).encode()
        )
        return base64.b64decode(answer["LogResult"]).decode().splitlines()

    def streams(self) -> list[list[str]]:
        """The lines of each log stream."""
        logs, group = self._cloud.client_of("logs"), f"/aws/lambda/{self.name}"
        pages = logs.get_paginator("filter_log_events").paginate
        streams = [s["logStreamName"] for s in logs.describe_log_streams(logGroupName=group)["logStreams"]]
        return [
            [
                event["message"]
                for page in pages(logGroupName=group, logStreamNames=[stream])
                for event in page["events"]
            ]
            for stream in streams
        ]


@pytest.fixture
def function(cloud: Cloud) -> Function:
    """A function that logs text."""
    return Function(cloud, "Text")


def test_the_tail_of_an_invocation_ends_with_its_report(function: Function) -> None:
    tail = function.invoke(name="a", lines=2)

    assert [line.split()[0] for line in tail] == ["START", "a", "a", "END", "REPORT"]
    fields = dict(part.split(": ") for part in tail[-1].split("\t") if part)
    assert fields.keys() == {
        *("REPORT RequestId", "Duration", "Billed Duration", "Memory Size", "Max Memory Used", "Init Duration")
    }
    assert fields["Memory Size"] == "128 MB"
    assert function.streams() == [tail]


def test_memory_is_the_real_peak_of_the_functions_process(function: Function) -> None:
    def peak(**event: Any) -> int:
        (field,) = [part for part in function.invoke(**event)[-1].split("\t") if part.startswith("Max Memory")]
        return int(field.split()[-2])

    before = peak()

    assert 5 < before < 90, "not that of the emulator"
    assert 95 <= peak(megabytes=100) - before <= 110


def test_a_function_that_asks_for_json_has_platform_events(cloud: Cloud) -> None:
    first, last = Function(cloud, "JSON").invoke()

    assert json.loads(first)["type"] == "platform.start"
    assert json.loads(last)["record"]["metrics"]["memorySizeMB"] == 128


def test_no_line_of_an_invocation_is_late_or_lost(function: Function) -> None:
    for name in ("a", "b", "c"):
        function.invoke(name=name, lines=3000, fails=name == "b")

    seen = {lines[1].split()[0]: lines for lines in function.streams()}

    for name in ("a", "b", "c"):
        own = [line for line in seen[name] if line.startswith(f"{name} ")]
        assert own == [f"{name} {number}" for number in range(3000)]
        assert not [line for line in seen[name] if line[:2] in {"a ", "b ", "c "} - {f"{name} "}]


def test_a_metric_in_a_log_line_sets_off_an_alarm(cloud: Cloud, function: Function) -> None:
    cloudwatch = cloud.client_of("cloudwatch")
    cloudwatch.put_metric_alarm(
        AlarmName=function.name,
        Namespace="Test",
        MetricName="Parked",
        Dimensions=[{"Name": "function", "Value": function.name}],
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=0,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="notBreaching",
    )

    def state() -> str:
        return str(cloudwatch.describe_alarms(AlarmNames=[function.name])["MetricAlarms"][0]["StateValue"])

    function.invoke(metric=0)
    assert state() == "OK"

    function.invoke(metric=2)
    eventually(lambda: state() == "ALARM", "the alarm goes off")
