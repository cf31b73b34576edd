"""Repairs of CloudWatch Logs: keys of groups, and metrics in log lines."""

import json
import time
from typing import Any

from localcloud.emulator.invocation_log import embedded_metrics
from localcloud.emulator.patching import Answer, repair, replace


@repair(
    replaces=("cloudwatch_logs.handle_request",),
    uses=(
        "cloudwatch_logs._log_groups",
        "cloudwatch_logs.json_response",
        "cloudwatch_logs.error_response_json",
    ),
    aws="changes the key of an existing group: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_AssociateKmsKey.html",
)
def change_keys_of_log_groups(cloudwatch_logs: Any) -> None:
    """Answer AssociateKmsKey and DisassociateKmsKey, which ministack does not know."""
    handle = cloudwatch_logs.handle_request

    async def handle_request(method: str, path: str, headers: dict[str, str], body: bytes, *query: Any) -> Answer:
        operation = headers.get("x-amz-target", "").rpartition(".")[2]
        if operation not in ("AssociateKmsKey", "DisassociateKmsKey"):
            return await handle(method, path, headers, body, *query)
        request: dict[str, Any] = json.loads(body)
        group = cloudwatch_logs._log_groups.get(request.get("logGroupName"))
        if group is None:
            missing = "The specified log group does not exist."
            return cloudwatch_logs.error_response_json("ResourceNotFoundException", missing, 400)
        group["kmsKeyId"] = request.get("kmsKeyId")
        return cloudwatch_logs.json_response({})

    replace(cloudwatch_logs, handle_request=handle_request)


@repair(
    replaces=("cloudwatch_logs._append_log_events",),
    uses=(
        "cloudwatch._metric_bucket",
        "cloudwatch._dims_key",
        "cloudwatch._evaluate_all_alarms",
    ),
    aws="https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format.html",
)
def put_embedded_metrics(cloudwatch_logs: Any, cloudwatch: Any) -> None:
    """Put the metrics in log lines of the embedded metric format, and judge alarms by them."""
    append = cloudwatch_logs._append_log_events

    def append_log_events(stream: dict[str, Any], events: list[dict[str, Any]]) -> None:
        append(stream, events)
        found = [metric for event in events for metric in embedded_metrics(str(event["message"]))]
        for namespace, name, value, unit, dimensions, at in found:
            bucket = cloudwatch._metric_bucket((namespace, name, cloudwatch._dims_key(dimensions)))
            stamp = time.time() if at is None else at
            bucket.append({"Timestamp": stamp, "Value": value, "Unit": unit, "Dimensions": dimensions})
        if found:
            cloudwatch._evaluate_all_alarms()

    replace(cloudwatch_logs, _append_log_events=append_log_events)
