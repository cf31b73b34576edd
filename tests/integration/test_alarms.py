"""The local cloud judges each alarm by its own metric, which the emulator does not."""

import boto3

from tests.acceptance.test_alarms import alarms, subscriber, told
from tests.integration.deployment import System
from tests.waiting import eventually


def test_an_alarm_goes_off_by_its_own_metric_and_tells_the_topic(system: System) -> None:
    name = system.outputs["alarms"]["stream-write-throttled-Demo-Stream"]

    def throttle(stream: str) -> None:
        """As the emulator, which has no limits, never does."""
        boto3.client("cloudwatch").put_metric_data(
            Namespace="AWS/Kinesis",
            MetricData=[
                {
                    "MetricName": "WriteProvisionedThroughputExceeded",
                    "Dimensions": [{"Name": "StreamName", "Value": stream}],
                    "Value": 1,
                }
            ],
        )

    throttle("another")
    assert alarms(system)[name]["StateValue"] == "OK"

    with subscriber(system) as queue:
        throttle(system.outputs["stream"]["name"])
        assert alarms(system)[name]["StateValue"] == "ALARM"
        assert name in eventually(lambda: told(queue), what="the alarm in the queue")
    assert f"ALARM {name}" in system.command("status").stdout
