"""Repairs of CloudWatch Logs."""

import json
from typing import Any

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
