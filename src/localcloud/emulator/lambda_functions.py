"""Repairs of Lambda functions."""

from typing import Any

from localcloud.emulator.patching import repair, replace
from localcloud.emulator.rights import ROLE_RIGHTS, rights_of_roles


@repair(
    replaces=("lambda_svc._emit_lambda_logs",),
    uses=(
        *ROLE_RIGHTS,
        "cloudwatch_logs._log_groups",
        "cloudwatch_logs._make_group_arn",
    ),
    aws="writes a function's log with its execution role: https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs.html",
)
def lose_logs_that_a_role_may_not_write(lambda_svc: Any, cloudwatch_logs: Any, iam_evaluator: Any, iam: Any) -> None:
    """Drop what a function logs when its role may not write it, as AWS does; the function runs all the same.

    ministack writes it unasked, and makes the group anew when it is gone, which takes a right of its own.
    """
    emit, may = lambda_svc._emit_lambda_logs, rights_of_roles(iam_evaluator, iam)

    def emit_logs(func: dict[str, Any], request_id: str, *log: Any, **source: Any) -> None:
        config = func.get("config") or func
        group = (config.get("LoggingConfig") or {}).get("LogGroup") or f"/aws/lambda/{config['FunctionName']}"
        stream = f"{cloudwatch_logs._make_group_arn(group).removesuffix('*')}log-stream:{request_id}"
        needed = ["logs:CreateLogStream", "logs:PutLogEvents"]
        if group not in cloudwatch_logs._log_groups:
            needed.append("logs:CreateLogGroup")
        if all(may(config["Role"], action, stream) for action in needed):
            emit(func, request_id, *log, **source)

    replace(lambda_svc, _emit_lambda_logs=emit_logs)
