"""Metrics in a log line: CloudWatch's embedded metric format.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from collections.abc import Mapping
from typing import Any


def embedded_metrics(
    namespace: str, function_name: str, seconds: float, values: Mapping[str, tuple[float, str]]
) -> dict[str, Any]:
    """Fields that make a log line of metrics: for each name its value and unit, by FunctionName."""
    metrics = [{"Name": name, "Unit": unit} for name, (_, unit) in values.items()]
    return {
        "_aws": {
            "Timestamp": int(seconds * 1000),
            "CloudWatchMetrics": [{"Namespace": namespace, "Dimensions": [["FunctionName"]], "Metrics": metrics}],
        },
        "FunctionName": function_name,
        **{name: value for name, (value, _) in values.items()},
    }
