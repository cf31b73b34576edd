"""Repairs of Lambda functions: what is logged of an invocation, by whose right, and what it took."""

import threading
import time
from datetime import UTC, datetime
from typing import Any

from localcloud.emulator.invocation_log import Run, lines
from localcloud.emulator.patching import Answer, repair, replace
from localcloud.emulator.rights import ROLE_RIGHTS, rights_of_roles

_running = threading.local()  # `run` is the invocation that this thread waits for

_SCRIPT_END = "        _real_stdout.flush()\n\nrun()\n"
# The peak is VmHWM, since getrusage counts what the parent had before it started this process.
_SCRIPT_END_WITH_MARK = (
    """        try:
            with open("/proc/self/status") as _ms_status:
                _ms_peak = next(_l.split()[1] for _l in _ms_status if _l.startswith("VmHWM"))
        except (OSError, StopIteration):
            _ms_peak = "-"
        sys.stderr.flush()
        os.write(2, ("\\n\\x00end " + _ms_peak + "\\n").encode())
"""
    + _SCRIPT_END
)
_MARK = "\x00end "
_LONGEST_DRAIN_SECONDS = 5.0


@repair(
    replaces=(
        "lambda_runtime._PYTHON_WORKER_SCRIPT",
        "lambda_runtime.Worker._drain_stderr",
        "lambda_runtime.Worker._drain_stderr_bounded",
        "lambda_runtime.Worker._spawn",
    ),
    uses=("lambda_runtime.Worker.invoke", "lambda_runtime.Worker._read_stderr"),
    aws="an invocation's lines are in its own log, and REPORT has the memory that it used: "
    "https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-view.html",
)
def read_each_log_to_its_end(lambda_runtime: Any) -> None:
    """Have a Python function's process mark the end of each invocation's log, and read up to there.

    ministack takes what has come within milliseconds: under load the rest is lost, or counted to the next invocation.
    """
    worker = lambda_runtime.Worker
    spawn, drain_other = worker._spawn, worker._drain_stderr_bounded

    def spawn_process(self: Any) -> None:
        began = time.monotonic()
        spawn(self)
        if run := getattr(_running, "run", None):
            run.init_ms = (time.monotonic() - began) * 1000

    def drain(self: Any) -> str:
        if not str(self.config.get("Runtime", "")).startswith("python"):
            return str(drain_other(self))
        logged: list[str] = []
        deadline = time.monotonic() + _LONGEST_DRAIN_SECONDS
        while time.monotonic() < deadline:
            try:
                line = self._stderr_queue.get(timeout=0.02)
            except lambda_runtime.queue.Empty:
                if not self._stderr_thread.is_alive() and self._stderr_queue.empty():
                    break  # the process died and left no mark
                continue
            if line.startswith(_MARK):
                peak = line.removeprefix(_MARK)
                if (run := getattr(_running, "run", None)) and peak.isdigit():
                    run.peak_kb = int(peak)
                if logged and not logged[-1]:
                    logged.pop()  # the mark begins with a line break of its own
                break
            logged.append(line)
        return "\n".join(logged)

    script = lambda_runtime._PYTHON_WORKER_SCRIPT.removesuffix(_SCRIPT_END) + _SCRIPT_END_WITH_MARK
    replace(lambda_runtime, _PYTHON_WORKER_SCRIPT=script)
    replace(worker, _spawn=spawn_process, _drain_stderr=drain, _drain_stderr_bounded=drain)


@repair(
    replaces=("lambda_svc._emit_lambda_logs", "lambda_svc._execute_function_dispatch"),
    uses=(
        *ROLE_RIGHTS,
        "lambda_svc._invoke",
        "lambda_svc.new_uuid",
        "cloudwatch_logs._log_groups",
        "cloudwatch_logs._make_group_arn",
        "cloudwatch_logs._append_log_events",
        "cloudwatch_logs._fanout_to_subscription_filters",
    ),
    aws="START, END and REPORT, or platform events: https://docs.aws.amazon.com/lambda/latest/dg/"
    "monitoring-cloudwatchlogs-view.html; the execution role's right to write them: "
    "https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs.html",
)
def log_as_lambda(lambda_svc: Any, cloudwatch_logs: Any, iam_evaluator: Any, iam: Any) -> None:
    """Log each invocation in the format that its function asks for, with its role, and answer Invoke with the tail.

    ministack logs text whatever the format, in whole milliseconds, with the greatest memory of all functions; it writes
    unasked, and creates a group that is gone, which takes a right of its own. Its tail has no REPORT.
    """
    dispatch, may = lambda_svc._execute_function_dispatch, rights_of_roles(iam_evaluator, iam)

    def execute_function(func: dict[str, Any], config: Any, event: Any, request_id: str, started: float) -> Any:
        _running.run = run = Run(request_id, started)
        try:
            result = dispatch(func, config, event, request_id, started)
        finally:
            del _running.run
        if isinstance(result, dict) and run.lines:
            result["log"] = "\n".join(run.lines) + "\n"
        return result

    def emit_logs(
        func: dict[str, Any], request_id: str, log_text: str, error: bool, _: int, *, log_source: Any = None
    ) -> None:
        del log_source
        config, now = func.get("config") or func, time.time()
        run = getattr(_running, "run", None) or Run(request_id, now)
        timed_out = "Task timed out after" in log_text
        error_type = ("Sandbox.Timedout" if timed_out else "Runtime.HandlerError") if error else None
        run.lines = tuple(lines(config, run, log_text, now, error_type))
        group = (config.get("LoggingConfig") or {}).get("LogGroup") or f"/aws/lambda/{config['FunctionName']}"
        version = config.get("Version", "$LATEST")
        stream = f"{datetime.now(UTC):%Y/%m/%d}/[{version}]{lambda_svc.new_uuid().replace('-', '')}"
        arn = f"{cloudwatch_logs._make_group_arn(group).removesuffix('*')}log-stream:{stream}"
        needed = ["logs:CreateLogStream", "logs:PutLogEvents"]
        needed += [] if group in cloudwatch_logs._log_groups else ["logs:CreateLogGroup"]
        if all(may(config["Role"], action, arn) for action in needed):
            _write(cloudwatch_logs, group, stream, run, now)

    replace(lambda_svc, _emit_lambda_logs=emit_logs, _execute_function_dispatch=execute_function)


def _write(cloudwatch_logs: Any, group_name: str, stream_name: str, run: Run, now: float) -> Answer:
    created = int(run.started * 1000)
    group = cloudwatch_logs._log_groups.get(group_name)
    if group is None:
        group = {
            "arn": cloudwatch_logs._make_group_arn(group_name),
            "creationTime": created,
            "retentionInDays": None,
            "tags": {},
            "subscriptionFilters": {},
            "streams": {},
        }
        cloudwatch_logs._log_groups[group_name] = group
    group["streams"][stream_name] = stream = {
        "events": [],
        "uploadSequenceToken": "1",
        "creationTime": created,
        "firstEventTimestamp": None,
        "lastEventTimestamp": None,
        "lastIngestionTime": None,
    }
    ended = int(now * 1000)
    events = [
        {"timestamp": ended if number else created, "message": line, "ingestionTime": ended}
        for number, line in enumerate(run.lines)
    ]
    cloudwatch_logs._append_log_events(stream, events)
    plain = [{"timestamp": event["timestamp"], "message": event["message"]} for event in events]
    cloudwatch_logs._fanout_to_subscription_filters(group_name, stream_name, plain)
